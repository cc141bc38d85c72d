"""Launchers: where the runs of a grid are made, and how many beside one another."""
