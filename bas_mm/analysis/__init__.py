"""Studies of models and data sets."""
