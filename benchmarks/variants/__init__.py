"""Small variants of the zoo's models that single notes want, for their claims; one file a paper, as the models have."""
