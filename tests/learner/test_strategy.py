"""The base class of strategies helps its subclasses."""

import pytest

from seit_cl.learner.strategy import Strategy


def test_a_class_with_the_method_that_scores_replaced_is_warned() -> None:
    with pytest.warns(DeprecationWarning, match=r"Outdated\.predict is not called.*`scores`"):
        type("Outdated", (Strategy,), {"predict": lambda self, inputs, learner: inputs})
