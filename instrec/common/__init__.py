"""Shared by all other packages: files, records, the command line, work in many processes."""
