"""One file per scenario; found by seit_cl.core.plugins."""
