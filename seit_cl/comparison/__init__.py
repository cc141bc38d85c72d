"""Runs and tables of `python -m seit_cl.compare`."""
