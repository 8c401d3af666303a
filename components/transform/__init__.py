"""Transform: learns assets from the training split and applies them to all splits."""
