"""Entropy coding of token grids, each token predicted from its neighbours."""
