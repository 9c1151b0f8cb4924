"""Baselines of the speed benchmark: eager PyTorch programs of the same steps, and usual metrics.

They need the `torch` extra.
"""
