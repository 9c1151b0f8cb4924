"""Metrics: features come from a network, each formula has its own file, and a score names its protocol."""
