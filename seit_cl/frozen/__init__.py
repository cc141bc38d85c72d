"""Frozen features: a timm backbone's, and quantisers that are fitted to them."""
