"""The state of a run between two experiences: with its memory, all that the rest depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seit_cl.core.rng import Generators
from seit_cl.experiment.agreement import state_digests
from seit_cl.experiment.record import RunRecord
from seit_cl.learner.learner import Learner
from seit_cl.learner.strategy import Strategy
from seit_cl.memory.buffer import ByteBudgetBuffer


@dataclass(frozen=True)
class RunState:
    """The contents of a checkpoint, and what all ranks of a run have in common.

    Args:
        learner: model, optimiser and counts of steps.
        strategy: of the run.
        generators: of the run.
        record: of the run.
        memory: the replay memory, which has a file of its own; None without.
    """

    learner: Learner
    strategy: Strategy
    generators: Generators
    record: RunRecord
    memory: ByteBudgetBuffer | None

    def state_dict(self) -> dict[str, Any]:
        """Everything but the memory, for `seit_cl.experiment.checkpoint.commit`."""
        state = {
            "learner": self.learner.state_dict(),
            "strategy": self.strategy.state_dict(),
            "generators": self.generators.state_dict(),
            **self.record.state_dict(),
        }
        if self.memory is not None:
            state["transformed"] = self.memory.transformed
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore everything but the memory, which has been read.

        Args:
            state: as `state_dict` returns it.
        """
        self.learner.load_state_dict(state["learner"])
        self.strategy.start(self.learner)
        self.strategy.load_state_dict(state["strategy"], self.learner)
        self.generators.load_state_dict(state["generators"])
        if self.memory is not None and "transformed" in state:
            # As they were, so that they are not counted again; the counts are restored below.
            self.memory.transform(state["transformed"].nonzero()[:, 0])
        self.record.load_state_dict(state)

    def digests(self) -> dict[str, str]:
        """Digests of what has to be the same in all ranks."""
        return state_digests(self.learner, self.memory, self.generators)
