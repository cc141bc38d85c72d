"""Tokenizers trained in different ways, each judged by what a learner makes of its codes."""
