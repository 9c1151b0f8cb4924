"""Evaluation protocols of the package's own data sets: digits and synthetic birds."""
