"""Pre-training of a learner's network without labels, by masked modelling of tokens or pixels."""
