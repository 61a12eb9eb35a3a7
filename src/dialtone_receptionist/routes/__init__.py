"""The HTTP surface, one file for each group of routes."""
