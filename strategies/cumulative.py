"""Training on all data seen so far at every step: the upper bound step by step. The memory is the whole past, unmetered."""

from seit_cl.learner.strategy import Strategy


class Cumulative(Strategy):
    """Each experience trains on the samples of all experiences so far."""

    paper = "the upper bound, step by step"
    exemplar_free = True
    data = "cumulative"


STRATEGY = Cumulative
