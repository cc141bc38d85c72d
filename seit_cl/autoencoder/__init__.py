"""Autoencoders that can be trained here: that of the bundled kind of tokenizer and ViT-VQGAN, and their training."""
