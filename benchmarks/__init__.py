"""Speed of the replay path and of the training step, each measured beside its peer in one process."""
