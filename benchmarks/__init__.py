"""What the project measures about itself: scores, the notes' claims, and speed beside plain peers; results as data."""
