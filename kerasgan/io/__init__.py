"""Reading files that nobody vouches for, and writing files that are whole or not there."""
