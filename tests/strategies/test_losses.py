"""Losses and projections of the strategies by value, against their papers' formulas."""

import copy
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers.batches import NoAugment, rows_of
from helpers.generators import generator
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.rng import Generators
from seit_cl.experiment.build import build_strategy
from seit_cl.learner.batches import Batch, BatchMaker, ForwardedBatch
from seit_cl.learner.fisher import diagonal_fisher
from seit_cl.learner.learner import Learner
from seit_cl.learner.loaders import ReplayLoader
from seit_cl.learner.prototypes import cosines_with_means, feature_sums
from seit_cl.learner.settings import Optimisation
from seit_cl.memory import Exemplars
from seit_cl.models._vit import build_vit, initialise, token_stem

CLASSES = 6
SEEN = 5
OLD = 3
NO_LEARNER: Any = None  # for losses that need none


def strategy_of(name: str, smoothing: float = 0.0, **options: Any) -> Any:
    """A strategy with some options."""
    settings = ",".join(f"{key}={value}" for key, value in options.items())
    return build_strategy(RunConfig(strategy=f"{name}:{settings}", label_smoothing=smoothing))


def random_batch(labels: list[int], seed: int, **extras: Tensor) -> ForwardedBatch:
    """A batch with random inputs, logits and features."""
    count = len(labels)
    drawn = torch.randn(count, 2 * 16 + SEEN + 8, generator=generator(seed))
    inputs, logits, features = (part.clone() for part in drawn.split([32, SEEN, 8], 1))
    inputs = inputs.reshape(count, 2, 4, 4)
    targets = torch.tensor(labels)
    batch = Batch(inputs, targets, rows_of(inputs, targets), extras=extras)
    return batch.forwarded(logits, features)


class FixedTeacher:
    """A teacher that answers with fixed logits and features."""

    def __init__(self, count: int, width: int = 8) -> None:
        self.classes_seen = OLD
        drawn = torch.randn(count, OLD + width, generator=generator(9))
        self._logits, self._features = drawn.split([OLD, width], 1)

    def logits(self, inputs: Tensor) -> Tensor:
        return self._logits[: len(inputs)]

    def features(self, inputs: Tensor) -> Tensor:
        return self._features[: len(inputs)]


def view(**attributes: Any) -> Any:
    """A learner reduced to the attributes that a loss reads."""
    return SimpleNamespace(classes_seen=SEEN, grow_head=True, **attributes)


# ---------------------------------------------------------------------- formulas on plain numbers
def softmax(row: list[float]) -> list[float]:
    exps = [math.exp(value) for value in row]
    return [value / sum(exps) for value in exps]


def entropy_loss(row: list[float], label: int, smoothing: float = 0.0) -> float:
    """Cross-entropy of one sample with smoothed targets."""
    loss = 0.0
    for k, p in enumerate(softmax(row)):
        target = (k == label) * (1 - smoothing) + smoothing / len(row)
        loss -= target * math.log(p)
    return loss


def entropy_losses(batch: ForwardedBatch, smoothing: float = 0.0) -> list[float]:
    """Cross-entropy of each sample of a batch."""
    pairs = zip(batch.logits.tolist(), batch.labels.tolist(), strict=True)
    return [entropy_loss(row, label, smoothing) for row, label in pairs]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def divergence(student: list[float], teacher: list[float], temperature: float) -> float:
    """Kullback-Leibler divergence of one sample's softened predictions."""
    p = softmax([value / temperature for value in teacher])
    q = softmax([value / temperature for value in student])
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def divergences(student: Tensor, teacher: Tensor, temperature: float) -> list[float]:
    pairs = zip(student.tolist(), teacher.tolist(), strict=True)
    return [divergence(a, b, temperature) for a, b in pairs]


# ---------------------------------------------------------------------- losses
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", ["er", "mir", "gdumb"])
def test_er_is_the_mean_cross_entropy_of_all_samples(name: str, smoothing: float) -> None:
    fresh = random_batch([3, 4, 4], 0)
    replay = random_batch([0, 1], 1)
    expected = mean([*entropy_losses(fresh, smoothing), *entropy_losses(replay, smoothing)])
    loss = strategy_of(name, smoothing).loss(fresh, replay, NO_LEARNER)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_er_ace_lets_fresh_samples_compete_among_their_own_classes(smoothing: float) -> None:
    fresh = random_batch([3, 4, 4], 0)
    replay = random_batch([0, 1], 1)
    fresh_losses = []
    for row, label in zip(fresh.logits.tolist(), [3, 4, 4], strict=True):
        fresh_losses.append(entropy_loss(row[3:5], label - 3, smoothing))
    fresh_loss = mean(fresh_losses)
    replay_loss = mean(entropy_losses(replay, smoothing))
    strategy = strategy_of("er_ace", smoothing)
    both = float(strategy.loss(fresh, replay, NO_LEARNER))
    assert both == pytest.approx(fresh_loss + replay_loss, rel=1e-5)
    assert float(strategy.loss(fresh, None, NO_LEARNER)) == pytest.approx(fresh_loss, rel=1e-5)


def test_er_ace_pushes_no_class_that_is_not_in_the_batch() -> None:
    fresh = random_batch([3, 4, 4], 0)
    fresh.logits.requires_grad_()
    strategy_of("er_ace", 0.1).loss(fresh, None, NO_LEARNER).backward()
    assert fresh.logits.grad is not None
    assert not fresh.logits.grad[:, :3].any()
    assert fresh.logits.grad[:, 3:].any()


def test_derpp_compares_stored_logits_and_no_others() -> None:
    stored = torch.randn(2, CLASSES, generator=generator(5))
    stored[0, OLD:] = torch.nan  # stored when three classes were seen
    stored[1, SEEN:] = torch.nan  # stored when five were
    fresh = random_batch([3, 4], 0)
    replay = random_batch([0, 3], 1, logits=stored.half())
    squares = []
    for i, count in ((0, OLD), (1, SEEN)):
        for k in range(count):
            squares.append(float(replay.logits[i, k] - stored.half().float()[i, k]) ** 2)
    fresh_loss = mean(entropy_losses(fresh))
    replay_loss = mean(entropy_losses(replay))
    expected = fresh_loss + 0.3 * mean(squares) + 0.7 * replay_loss
    strategy = strategy_of("derpp", alpha=0.3, beta=0.7)
    replay.logits.requires_grad_()
    loss = strategy.loss(fresh, replay, NO_LEARNER)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert replay.logits.grad is not None
    assert replay.logits.grad.isfinite().all()


def test_derpp_stores_two_bytes_a_class() -> None:
    assert strategy_of("derpp").exemplar_fields(100)["logits"].nbytes == 200


def test_lwf_adds_the_distillation_of_older_classes_without_a_squared_temperature() -> None:
    fresh = random_batch([3, 4, 4], 0)
    strategy = strategy_of("lwf", alpha=1.5, temperature=2.0, among_new="false")
    plain = float(strategy.loss(fresh, None, view()))
    strategy.teacher = FixedTeacher(3)
    teacher_logits = strategy.teacher.logits(fresh.inputs)
    expected = plain + 1.5 * mean(divergences(fresh.logits[:, :OLD], teacher_logits, 2.0))
    assert float(strategy.loss(fresh, None, view())) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_lwf_classifies_new_samples_among_the_new_classes(smoothing: float) -> None:
    fresh = random_batch([3, 4, 4], 0)
    strategy = strategy_of("lwf", smoothing, alpha=0.0)
    strategy.teacher = FixedTeacher(3)
    among_new = []
    for row, label in zip(fresh.logits.tolist(), [3, 4, 4], strict=True):
        among_new.append(entropy_loss(row[OLD:], label - OLD, smoothing))
    loss = float(strategy.loss(fresh, None, view()))
    assert loss == pytest.approx(mean(among_new), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_lwf_classifies_mixed_samples_among_the_new_classes(smoothing: float) -> None:
    """A mixed sample's loss is the mixture of its two labels' losses."""
    plain = random_batch([3, 4], 0)
    other = replace(plain, labels=torch.tensor([4, 4]))
    targets = torch.zeros(2, CLASSES)
    targets[0, 3], targets[0, 4], targets[1, 4] = 0.3, 0.7, 1.0
    strategy = strategy_of("lwf", smoothing, alpha=0.0)
    strategy.teacher = FixedTeacher(2)
    losses = []
    for batch in (plain, other, replace(plain, targets=targets)):
        losses.append(float(strategy.loss(batch, None, view())))
    # The labels of the first sample alone differ between the first two batches.
    assert losses[2] == pytest.approx(0.3 * losses[0] + 0.7 * losses[1], rel=1e-5)


def test_lwf_lets_an_older_class_compete_where_it_comes_again() -> None:
    fresh = random_batch([1, 4], 0)
    strategy = strategy_of("lwf", alpha=0.0)
    strategy.teacher = FixedTeacher(2)
    losses = []
    for row, place in zip(fresh.logits.tolist(), [0, 2], strict=True):
        losses.append(entropy_loss([row[1], row[3], row[4]], place))
    loss = float(strategy.loss(fresh, None, view()))
    assert loss == pytest.approx(mean(losses), rel=1e-5)


def test_lwf_takes_all_classes_where_none_is_new() -> None:
    fresh = random_batch([1, 4], 0)
    strategy = strategy_of("lwf", alpha=0.0)
    strategy.teacher = FixedTeacher(2)
    strategy.teacher.classes_seen = SEEN
    loss = float(strategy.loss(fresh, None, view()))
    assert loss == pytest.approx(mean(entropy_losses(fresh)), rel=1e-5)


def test_icarl_takes_labels_for_new_classes_and_the_teacher_for_older_ones() -> None:
    fresh = random_batch([3, 4], 0)
    replay = random_batch([0], 1)
    strategy = strategy_of("icarl")
    strategy.teacher = FixedTeacher(2)
    losses = []
    for batch in (fresh, replay):
        teacher = strategy.teacher.logits(batch.inputs).sigmoid()
        learner = batch.logits.sigmoid()
        for i, label in enumerate(batch.labels.tolist()):
            loss = 0.0
            for k in range(SEEN):
                target = float(teacher[i, k]) if k < OLD else float(k == label)
                output = float(learner[i, k])
                loss -= target * math.log(output) + (1 - target) * math.log(1 - output)
            losses.append(loss)
    loss = float(strategy.loss(fresh, replay, NO_LEARNER))
    assert loss == pytest.approx(mean(losses), rel=1e-5)


def test_the_nearest_mean_is_the_nearest_and_never_a_class_without_samples() -> None:
    features = torch.randn(20, 8, generator=generator())
    labels = torch.arange(20) % 3
    sums = feature_sums(zip(features.split(7), labels.split(7), strict=True), 4)
    unit = features / features.norm(dim=1, keepdim=True)
    means = torch.stack([unit[labels == k].mean(0) for k in range(3)])
    means = means / means.norm(dim=1, keepdim=True)
    queries = torch.randn(50, 8, generator=generator(1))
    distances = torch.cdist(queries / queries.norm(dim=1, keepdim=True), means)
    assert torch.equal(cosines_with_means(queries, sums).argmax(1), distances.argmin(1))


def test_wa_weighs_distillation_by_the_share_of_older_classes() -> None:
    fresh = random_batch([3, 4], 0)
    replay = random_batch([0], 1)
    strategy = strategy_of("wa")
    hard = float(strategy.loss(fresh, replay, view()))
    strategy.teacher = FixedTeacher(3)
    logits = torch.cat([fresh.logits, replay.logits])[:, :OLD]
    soft = mean(divergences(logits, strategy.teacher.logits(torch.zeros(3)), 2.0))
    expected = (1 - OLD / SEEN) * hard + OLD / SEEN * soft
    assert float(strategy.loss(fresh, replay, view())) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("length", "max_gamma", "gamma"),
    [
        pytest.param(2.0, 1.0, 0.5, id="longer rows are shortened"),
        pytest.param(0.5, 1.0, 1.0, id="shorter rows stay"),
        pytest.param(0.5, 0.0, 2.0, id="without a limit, shorter rows are lengthened"),
        pytest.param(0.5, 1.5, 1.5, id="as far as the limit allows"),
    ],
)
def test_wa_scales_the_rows_of_new_classes_to_the_older_ones_norm(
    length: float, max_gamma: float, gamma: float
) -> None:
    strategy = strategy_of("wa", max_gamma=max_gamma)
    learner = build_learner(strategy)
    learner.begin_experience(learner.loader, classes_seen=3)
    strategy.teacher = FixedTeacher(3)
    strategy.teacher.classes_seen = 1
    rows = learner.model.head.weight.detach()
    rows[1:3] *= length * rows[:1].norm(dim=1).mean() / rows[1:3].norm(dim=1).mean()
    expected = rows.clone()
    expected[1:3] *= gamma
    strategy.after_training_exp(learner)
    assert torch.allclose(learner.model.head.weight, expected)
    assert torch.allclose(strategy.teacher.model.head.weight, expected)  # aligned first


def test_lucir_holds_features_by_angle_and_ranks_exemplars_above_new_classes() -> None:
    fresh = random_batch([3, 4], 0)
    replay = random_batch([0, 4], 1)
    strategy = strategy_of("lucir", distillation=2.0, scale=4.0)
    strategy.teacher = FixedTeacher(4)
    head = nn.Linear(8, CLASSES)
    assert fresh.features is not None
    assert replay.features is not None
    features = torch.cat([fresh.features, replay.features])
    cosines = []
    for feature in features:
        cosines.append([cosine(feature, vector) for vector in head.weight[:SEEN]])
    hard = []
    for row, label in zip(cosines, [3, 4, 0, 4], strict=True):
        hard.append(entropy_loss([4.0 * value for value in row], label))
    pairs = zip(features, strategy.teacher.features(features), strict=True)
    angles = [1 - cosine(student, teacher) for student, teacher in pairs]
    # One exemplar is of an older class; classes 3 and 4 are new.
    ranking = sum(max(0.0, 0.5 - cosines[2][0] + cosines[2][k]) for k in (3, 4))
    expected = mean(hard) + 2.0 * math.sqrt(OLD / (SEEN - OLD)) * mean(angles) + ranking
    learner = view(model=SimpleNamespace(head=head))
    assert float(strategy.loss(fresh, replay, learner)) == pytest.approx(expected, rel=1e-4)


def test_lucir_starts_new_vectors_at_mean_features_from_the_second_experience_on() -> None:
    strategy = strategy_of("lucir")
    learner = build_learner(strategy)
    learner.begin_experience(learner.loader, classes_seen=2)
    before = learner.model.head.weight.detach().clone()
    strategy.before_training_exp(learner)
    assert torch.equal(learner.model.head.weight, before)
    strategy.after_training_exp(learner)
    learner.begin_experience(learner.loader, classes_seen=4, classes_seen_before=2)
    strategy.before_training_exp(learner)
    features = learner.raw_features(RAW)  # of classes 0, 1, 2, 3, 0
    length = before[:2].norm(dim=1).mean()
    for label in (2, 3):
        expected = length * features[label] / features[label].norm()
        assert torch.allclose(learner.model.head.weight[label], expected, atol=1e-5)
    assert torch.equal(learner.model.head.weight[:2], before[:2])


@pytest.mark.parametrize("freeze", [True, False])
def test_lucir_turns_no_vector_of_an_older_class_if_they_are_frozen(freeze: bool) -> None:
    strategy = strategy_of("lucir", freeze=freeze)
    learner = build_learner(strategy)
    learner.begin_experience(learner.loader, classes_seen=2)
    strategy.after_training_exp(learner)
    learner.begin_experience(learner.loader, classes_seen=4, classes_seen_before=2)
    vectors = learner.model.head.weight
    before = vectors.detach().clone()
    optimizer = torch.optim.AdamW([vectors], lr=0.1, weight_decay=0.5)
    for seed in range(3):
        optimizer.zero_grad()
        fresh = labelled(3, seed)
        features = learner.features(fresh.inputs, "fp32")
        logits = learner.logits(fresh.inputs, learner.model, "fp32")
        strategy.loss(fresh.forwarded(logits, features), None, learner).backward()
        strategy.after_backward(fresh, None, learner)
        optimizer.step()
    turned = [cosine(a, b) < 0.9999 for a, b in zip(before, vectors.detach(), strict=True)]
    assert turned == [not freeze, not freeze, True, True]


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.dot(a, b) / a.norm() / b.norm())


# ---------------------------------------------------------------------- with a real learner
RAW = torch.randn(5, 2, 4, 4, generator=generator(3))  # samples of an experience


def build_learner(strategy: Any) -> Any:
    """A real learner of four classes on five raw samples."""
    with torch.random.fork_rng():
        model = initialise(build_vit("micro", token_stem(4), 2, 4), generator(1))
    nn.init.normal_(model.head.weight, std=0.5, generator=generator(2))
    learner = Learner(
        model=model,
        strategy=strategy,
        optimisation=Optimisation(
            epochs=1, learning_rate=1e-3, weight_decay=0.0, warmup=0.0, precision="fp32"
        ),
        augment=NoAugment(),
        grow_head=True,
        device=torch.device("cpu"),
    )
    maker = BatchMaker(learner.augment, 4, 0.0, 1.0, torch.device("cpu"), Generators(0))
    ids = torch.arange(5)
    loader = ReplayLoader(maker, RAW.__getitem__, ids, ids % 4, 2, 2, None)
    learner.begin_experience(loader, classes_seen=4)
    return learner


def labelled(count: int, seed: int, shift: int = 0) -> Batch:
    """A batch of `build_learner`'s inputs."""
    inputs = torch.randn(count, 2, 4, 4, generator=generator(seed))
    ids = torch.arange(count)
    labels = (ids + shift) % 4
    return Batch(inputs, labels, rows_of(inputs, labels))


def gradient(model: Any, batch: Batch) -> Tensor:
    """The model's gradient of the batch's cross-entropy, which stays in its weights."""
    model.zero_grad()
    nn.functional.cross_entropy(model(batch.inputs), batch.labels).backward()
    return flat_gradient(model)


def flat_gradient(model: Any) -> Tensor:
    return torch.cat([weight.grad.flatten().clone() for weight in model.parameters()])


def test_the_fisher_information_is_the_mean_of_squared_gradients_sample_by_sample() -> None:
    learner = build_learner(strategy_of("ewc"))
    weights = dict(learner.model.named_parameters())
    expected = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for i in range(5):
        label = torch.tensor([i % 4])
        sample = RAW[i : i + 1]
        gradient(learner.model, Batch(sample, label, rows_of(sample, label)))
        for name, weight in weights.items():
            assert weight.grad is not None
            expected[name] += weight.grad**2 / 5
    for name, value in diagonal_fisher(learner, 0).items():
        assert torch.allclose(value, expected[name], rtol=1e-3, atol=1e-8), name


def test_ewc_pulls_weights_back_by_half_lambda_times_their_fisher_information() -> None:
    strategy = strategy_of("ewc", strength=10.0, decay=0.5)
    learner = build_learner(strategy)
    fresh = random_batch([3, 1], 0)
    plain = float(strategy.loss(fresh, None, learner))
    strategy.after_training_exp(learner)
    first = {name: value.clone() for name, value in strategy.fisher.items()}
    strategy.after_training_exp(learner)
    for name, value in strategy.fisher.items():
        assert torch.allclose(value, 1.5 * first[name])
    assert float(strategy.loss(fresh, None, learner)) == pytest.approx(plain)
    with torch.no_grad():
        learner.model.head.weight += 0.1
    expected = plain + 10.0 / 2 * float(strategy.fisher["head.weight"].sum()) * 0.1**2
    loss = float(strategy.loss(fresh, None, learner).detach())
    assert loss == pytest.approx(expected, rel=1e-4)


def test_agem_projects_a_gradient_that_would_raise_the_exemplars_loss_and_leaves_others() -> None:
    strategy = strategy_of("agem")
    learner = build_learner(strategy)
    was_projected = set()
    for seed in range(4):
        fresh = labelled(3, seed)
        replay = labelled(3, seed, shift=seed)  # the same samples, the first time the same labels
        reference = gradient(learner.model, replay)
        learner.model.zero_grad()
        outputs = fresh.forwarded(learner.model(fresh.inputs))
        strategy.loss(outputs, None, learner).backward()
        before = flat_gradient(learner.model)
        strategy.after_backward(fresh, replay, learner)
        after = flat_gradient(learner.model)
        dot = float(before @ reference)
        expected = before
        if dot < 0:
            expected = before - dot / float(reference @ reference) * reference
        assert torch.allclose(after, expected, atol=1e-6)
        assert float(after @ reference) >= -1e-4
        was_projected.add(dot < 0)
    assert was_projected == {True, False}


class TwelveExemplars:
    """A memory of twelve exemplars, drawn in order."""

    exemplars = Exemplars(
        torch.randn(12, 2, 4, 4, generator=generator(8)), torch.arange(12) % 4, torch.arange(12), {}
    )

    def __len__(self) -> int:
        return 12

    def sample(self, n: int, generator: torch.Generator) -> Exemplars:
        return self.exemplars[torch.arange(n)]

    def by_ids(self, ids: Tensor) -> Exemplars:
        return self.exemplars[ids]


class MirroringAugment(NoAugment):
    """Augmentation that leaves raw data as they are and can mirror them."""

    def mirrored(self, raw: Tensor) -> Tensor | None:
        return raw.flip(-1)


@pytest.mark.parametrize(
    ("flip", "augment", "with_mirror_images"),
    [
        (True, MirroringAugment(), True),
        (False, MirroringAugment(), False),
        (True, NoAugment(), False),  # training mirrors none
    ],
)
def test_icarl_takes_mirror_images_of_exemplars_into_their_means(
    flip: bool, augment: NoAugment, with_mirror_images: bool
) -> None:
    strategy = strategy_of("icarl", flip=flip)
    learner = build_learner(strategy)
    learner.augment = augment
    learner.loader.memory = TwelveExemplars()
    strategy.after_memory_update(learner)
    inputs, labels = TwelveExemplars.exemplars.inputs, TwelveExemplars.exemplars.labels
    images = torch.cat([inputs, inputs.flip(-1)]) if with_mirror_images else inputs
    features = learner.raw_features(images)
    unit = features / features.norm(dim=1, keepdim=True)
    for label in range(4):
        mean = unit[labels.repeat(len(images) // 12) == label].mean(0)
        assert torch.allclose(strategy.means[label], mean / mean.norm(), atol=1e-5)


def test_mir_takes_the_candidates_that_a_step_on_the_fresh_samples_harms_most() -> None:
    strategy = strategy_of("mir", candidates=40, rate=0.5)
    learner = build_learner(strategy)
    model = learner.model
    fresh = labelled(3, 0)
    memory = TwelveExemplars()
    weights_before = copy.deepcopy(model.state_dict())
    gradient(model, labelled(2, 5))  # as the last step leaves some
    chosen = strategy.before_sampling(fresh, memory, 3, generator(), learner)
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights_before[name])
    losses_now = candidate_losses(model)
    fresh_gradient = gradient(model, fresh)
    step = 0.5 * min(1.0, 1.0 / float(fresh_gradient.norm()))
    with torch.no_grad():
        for weight in model.parameters():
            weight -= step * weight.grad
    harm = candidate_losses(model) - losses_now
    assert chosen.ids.tolist() == harm.argsort(descending=True)[:3].tolist()
    all_of_them = strategy.before_sampling(fresh, memory, 12, generator(), learner)
    assert all_of_them.ids.tolist() == list(range(12))


@pytest.mark.parametrize(
    ("spec", "replay_batch", "candidates"),
    [
        ("mir", 32, 160),
        ("mir:factor=1.5", 10, 15),
        ("mir:candidates=50,rate=0.05", 32, 50),  # as earlier runs wrote it
        ("mir", 0, 0),  # a run without replay
    ],
)
def test_mir_draws_a_multiple_of_the_exemplars_that_a_step_replays(
    spec: str, replay_batch: int, candidates: int
) -> None:
    strategy: Any = build_strategy(RunConfig(strategy=spec, replay_batch=replay_batch))
    assert strategy.candidates == candidates


@pytest.mark.parametrize("setting", ["candidates=64", "candidates=50", "factor=1", "factor=0.5"])
def test_mir_refuses_candidates_that_leave_nothing_to_choose(setting: str) -> None:
    with pytest.raises(UserError, match="leave nothing to choose, as in er") as error:
        build_strategy(RunConfig(strategy=f"mir:{setting}", replay_batch=64))
    assert setting in str(error.value)


@torch.no_grad()
def candidate_losses(model: Any) -> Tensor:
    """Cross-entropy (12,) of each exemplar."""
    exemplars = TwelveExemplars.exemplars
    logits = model(exemplars.inputs)
    return nn.functional.cross_entropy(logits, exemplars.labels, reduction="none")


def test_every_strategy_with_a_loss_of_its_own_is_checked_here() -> None:
    """A new one must be added here, unless it uses the default loss."""
    own_loss = {"er", "mir", "gdumb", "er_ace", "derpp", "lwf", "icarl", "wa", "lucir", "ewc"}
    own_loss.add("agem")
    default_loss = {"naive", "joint", "cumulative", "ncm", "simplecil", "ranpac", "avalanche"}
    ours = set()
    for name, place in plugins.names("strategy").items():
        if place.startswith("seit_cl."):
            ours.add(name)
    assert ours == own_loss | default_loss
