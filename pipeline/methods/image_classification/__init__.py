"""What the methods for labelled images share."""
