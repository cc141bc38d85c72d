"""Exemplars that lose levels before they are removed, against other uses of the same bytes."""
