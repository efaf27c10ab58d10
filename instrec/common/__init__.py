"""What all other packages share: files, records, the command line, work on many processes."""
