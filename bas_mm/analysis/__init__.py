"""Studies of models and data sets, and comparisons of runs."""
