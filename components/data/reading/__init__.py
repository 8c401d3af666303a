"""Files and prepared data sets, read for Beam sources of any kind of data."""
