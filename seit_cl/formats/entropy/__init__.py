"""Entropy coding of token grids: each token is predicted from its neighbours."""
