"""Text: from captions to vectors. A text encoder is any callable of n captions that returns float32 [n, D]."""
