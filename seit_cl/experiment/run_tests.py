"""The tests of a run: after experiences, between training steps, and of the final features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.data.scenario import Scenario
from seit_cl.experiment.anytime import AnytimeSubset
from seit_cl.experiment.modality import Modality
from seit_cl.experiment.record import RunRecord, Times
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.testing import accuracy_rows, confusion_counts, tested_ids
from seit_cl.learner.inference import RawSamples
from seit_cl.learner.learner import Learner
from seit_cl.learner.linear_probe import fit_probe


class RunTests:
    """Tests a learner on the stream so far, and notes the answers in the run's record.

    Args:
        config: the run's options.
        data: its dataset.
        stream: what it is tested on.
        experiences: number of training experiences, fewer than the stream's where these are joined.
        modality: gives the learner's inputs.
        record: of the run.
        class_names: (C,), by label.
    """

    def __init__(
        self,
        config: RunConfig,
        data: RunData,
        stream: Scenario,
        experiences: int,
        modality: Modality,
        record: RunRecord,
        class_names: Sequence[str],
    ) -> None:
        self.config = config
        self.data = data
        self.stream = stream
        self.experiences = experiences
        self.modality = modality
        self.record = record
        self.class_names = class_names
        self.labels = stream.labels(stream.tested_split(data.dataset).labels)

    def due(self, experience: int) -> bool:
        """Return True after every --eval-every experiences, and after the last one."""
        is_last = experience == self.experiences - 1
        return is_last or (experience + 1) % self.config.eval_every == 0

    def position(self, experience: int) -> int:
        """Index in the stream of the last experience that a training experience shows."""
        # A joined stream has fewer experiences; its last one ends with the stream's last one.
        return experience + len(self.stream) - self.experiences

    def after_experience(self, experience: int, learner: Learner) -> None:
        """Test on all of the stream so far."""
        position = self.position(experience)
        with self.record.timed("test"):
            ids = tested_ids(self.stream, position)
            expected = self.labels[ids]
            answers = learner.answers(self.inputs(ids), expected, self.stream.competitors)
            self.record.accuracy += accuracy_rows(
                self.stream, position, answers, self.labels, self.class_names
            )
            classes = len(self.class_names)
            self.record.confusion = confusion_counts(expected, answers.predicted, classes)
        self.record.phases["test"].images += len(ids)

    def between_steps(self, experience: int, step: int, learner: Learner) -> None:
        """Test on a fixed subset after every --eval-steps steps; training does not notice it."""
        every = self.config.eval_steps
        if not every or step % every or not learner.strategy.can_score:
            return
        began = Times.now()
        subset = self._anytime_subset
        position = self.position(experience)
        tested = subset.seen(position)
        predicted = learner.predict(self.inputs(subset.ids[:tested]), recorded=False)
        rows = subset.rows(step, position, predicted)
        self.record.anytime = torch.cat([self.record.anytime, rows])
        taken = Times.now() - began
        self.record.phases["anytime"].seconds += taken.wall
        self.record.phases["anytime"].cpu_seconds += taken.cpu
        self.record.phases["anytime"].images += tested
        # It is in the middle of what these measure.
        self.record.phases["train"].seconds -= taken.wall
        self.record.phases["train"].cpu_seconds -= taken.cpu
        self.record.train_seconds -= taken.wall

    @cached_property
    def _anytime_subset(self) -> AnytimeSubset:
        """The images of tests between steps."""
        dataset = self.data.dataset
        classes = dataset.train.labels if self.stream.validates else dataset.val.labels
        return AnytimeSubset(self.stream, self.labels, classes, self.config.eval_images)

    def inputs(self, ids: Tensor) -> RawSamples:
        """Raw inputs (n, ...) of samples to test on (n,), read batch by batch."""
        if self.stream.validates:
            return RawSamples(self.modality.train_inputs, ids)
        return RawSamples(self.modality.tested_inputs, ids)

    def probe(self, train_labels: Tensor, learner: Learner) -> dict[str, float]:
        """Metadata about the linear probe of the final features; empty without --linear-probe.

        Args:
            train_labels: (N,) int64, of all training images.
            learner: after the last experience.
        """
        if not self.config.linear_probe:
            return {}
        train_ids = torch.cat(self.stream.train).unique()
        features = learner.raw_features(RawSamples(self.modality.train_inputs, train_ids))
        probe = fit_probe(features, train_labels[train_ids], len(self.class_names))
        test_ids = tested_ids(self.stream, len(self.stream) - 1)
        tested = learner.raw_features(self.inputs(test_ids))
        accuracy = probe.accuracy(tested, self.labels[test_ids])
        return {"linear_probe_accuracy": accuracy, "linear_probe_decay": probe.decay}
