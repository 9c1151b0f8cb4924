"""Evaluation protocols of the embedded data sets: digits and synthetic birds."""
