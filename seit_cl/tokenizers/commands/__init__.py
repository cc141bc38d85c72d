"""Subcommands of `python -m seit_cl.tokenize`."""
