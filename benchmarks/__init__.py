"""Speed of replay, of the training step and of others, measured against peers in one process."""
