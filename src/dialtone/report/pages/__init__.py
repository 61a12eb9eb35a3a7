"""Pages that people open: the drill, every day, customers; each one file that loads nothing from anywhere."""
