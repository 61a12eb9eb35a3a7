"""Fault mechanisms, one file each; every module here is imported, and what it registers can be planned."""
