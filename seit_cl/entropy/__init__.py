"""Coding token grids by how likely each token is after its neighbours."""
