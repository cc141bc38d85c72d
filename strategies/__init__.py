"""One file per strategy; found by seit_cl.core.plugins."""
