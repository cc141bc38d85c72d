"""Training on all data seen so far in every experience: the upper bound, step by step."""

from seit_cl.data.scenario import Scenario
from seit_cl.learner.strategy import Strategy


class Cumulative(Strategy):
    """Each experience trains on the samples of all experiences so far, as if memory were free."""

    paper = "the upper bound, step by step"
    several_ranks = True
    exemplar_free = True
    may_repeat_samples = True
    capturable = True
    per_task_heads = True

    def training_stream(self, scenario: Scenario) -> Scenario:
        """The scenario with every experience extended by all earlier ones."""
        return scenario.accumulated()


STRATEGY = Cumulative
