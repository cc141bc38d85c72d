"""Training on all experiences at once: the upper bound, one number."""

from seit_cl.data.scenario import Scenario
from seit_cl.learner.strategy import Strategy


class Joint(Strategy):
    """One experience with the whole stream's samples."""

    paper = "the upper bound, at once"
    several_ranks = True
    exemplar_free = True
    may_repeat_samples = True
    capturable = True
    per_task_heads = True

    def training_stream(self, scenario: Scenario) -> Scenario:
        """The scenario as one experience."""
        return scenario.joined()


STRATEGY = Joint
