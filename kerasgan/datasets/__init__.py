"""Data: loaders give channels-last images in [-1, 1]; `Batches` hands them to `fit`."""
