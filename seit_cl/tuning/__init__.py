"""Trials of hyperparameters, and the configs that are written of the best."""
