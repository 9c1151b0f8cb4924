"""Features of images: Inception networks, classifiers, and their extraction from streams."""
