"""Augmentation of token grids and of pixels, in batches on the learner's device."""
