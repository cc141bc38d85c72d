"""One file per report; found by seit_cl.core.plugins."""
