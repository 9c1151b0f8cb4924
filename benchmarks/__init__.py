"""Speed benchmarks and the reproduction of the training notes, with their results as data."""
