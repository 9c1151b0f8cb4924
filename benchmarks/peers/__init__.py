"""The same networks and steps as ordinary eager PyTorch programs, to time ours against (the torch extra)."""
