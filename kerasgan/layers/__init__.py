"""Layers: each another paper's idea, or used by two models."""
