"""The first morning: what is not armed yet and why, a suite for a new application, monitors from elsewhere."""
