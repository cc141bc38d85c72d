"""Runs in this process, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from seit_cl.core.errors import UserError
from seit_cl.core.locks import Held
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.observed_run import run_observed, share_done, status_line
from seit_cl.launchers.jobs import Ending, Job, Observer, Update


class Here:
    """This process, with the experiments that it has built; a `Launcher`.

    Args:
        experiments: by run. Each is let go when it has ended.
    """

    def __init__(self, experiments: Mapping[Job, Experiment]) -> None:
        self._experiments = dict(experiments)

    def run(self, jobs: Iterable[Job], observer: Observer) -> None:
        """Make runs; one that fails with a UserError ends with a problem, and the others go on.

        Args:
            jobs: some of those with an experiment.
            observer: is told when a run begins, of its progress and when it ends.

        Raises:
            UserError: a run that several ranks make has failed.
        """
        for job in jobs:
            observer.begin(job)
            ending = self._make(job, observer)
            if not ending.held:
                del self._experiments[job]
            observer.end(job, ending)

    def _make(self, job: Job, observer: Observer) -> Ending:
        experiment = self._experiments[job]

        def on_step(info: StepInfo) -> None:
            observer.update(job, Update(share_done(info), status_line(experiment, info)))

        try:
            return Ending(tuple(run_observed(experiment, job.tracker, on_step)))
        except UserError as error:
            if experiment.ranks.several:  # which may be at different places
                raise
            return Ending(problem=str(error), held=isinstance(error, Held))
