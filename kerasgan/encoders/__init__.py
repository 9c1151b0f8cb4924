"""Text and image encoders.

A text encoder is a callable from a list of N captions to embeddings, float32 `[N, D]`.
"""
