"""Training on all experiences at once: the upper bound, one number."""

from seit_cl.learner.strategy import Strategy


class Joint(Strategy):
    """One experience that holds the whole stream."""

    paper = "the upper bound, at once"
    exemplar_free = True
    data = "joint"


STRATEGY = Joint
