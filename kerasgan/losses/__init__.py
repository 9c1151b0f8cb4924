"""Losses: plain functions of tensors, handed to a model as functions."""
