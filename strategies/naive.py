"""Fine-tuning without any memory: the lower bound."""

from seit_cl.learner.strategy import Strategy


class Naive(Strategy):
    """Train on each experience's samples alone."""

    paper = "the lower bound"
    several_ranks = True
    exemplar_free = True
    capturable = True
    per_task_heads = True


STRATEGY = Naive
