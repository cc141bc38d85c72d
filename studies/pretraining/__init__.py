"""Study of masked pre-training without labels, of tokens and of pixels, before a stream begins."""
