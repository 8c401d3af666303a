"""What kinds of data with images share: files, folders, pixels."""
