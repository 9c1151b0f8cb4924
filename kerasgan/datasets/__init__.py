"""Data sets. Loaders return channels-last images in [-1, 1]; `Batches` feeds them to `fit`."""
