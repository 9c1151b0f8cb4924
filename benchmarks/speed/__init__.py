"""Speed of training steps and metrics, measured against PyTorch, NumPy and SciPy baselines."""
