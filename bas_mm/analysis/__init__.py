"""Studies of models and comparisons of runs."""
