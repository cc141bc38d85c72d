"""Training and fitting of tokenizers and of entropy models."""
