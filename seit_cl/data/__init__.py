"""Datasets, samples and scenarios."""
