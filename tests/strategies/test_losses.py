"""Losses and projections of the strategies by value, against their papers' formulas computed directly."""

import copy
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.rng import Generators
from seit_cl.experiment.build import build_strategy
from seit_cl.learner.batches import Batch, BatchMaker, ReplayLoader
from seit_cl.learner.fisher import diagonal_fisher
from seit_cl.learner.learner import Learner
from seit_cl.learner.optim import Optimisation
from seit_cl.learner.prototypes import feature_sums, nearest_mean
from seit_cl.learner.vit import build_vit, initialise, token_stem
from seit_cl.memory.device_cache import Exemplars

CLASSES, SEEN, OLD = 6, 5, 3


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(name: str, smoothing: float = 0.0, **options: Any) -> Any:
    """A strategy without a learner."""
    spec = f"{name}:{','.join(f'{key}={value}' for key, value in options.items())}"
    return build_strategy(RunConfig(strategy=spec, label_smoothing=smoothing))


def batch(labels: list[int], seed: int) -> Batch:
    """A batch with random inputs, logits and features."""
    count = len(labels)
    drawn = torch.randn(count, 2 * 16 + SEEN + 8, generator=generator(seed))
    inputs, logits, features = (part.clone() for part in drawn.split([32, SEEN, 8], 1))
    ids = torch.arange(count)
    return Batch(
        inputs.reshape(count, 2, 4, 4), torch.tensor(labels), ids, logits=logits, features=features
    )


class Fixed:
    """An old model that answers with fixed logits and features."""

    def __init__(self, count: int, width: int = 8) -> None:
        self.seen = OLD
        self._logits, self._features = torch.randn(
            count, OLD + width, generator=generator(9)
        ).split([OLD, width], 1)

    def logits(self, inputs: Tensor) -> Tensor:
        return self._logits[: len(inputs)]

    def features(self, inputs: Tensor) -> Tensor:
        return self._features[: len(inputs)]


def softmax(row: list[float]) -> list[float]:
    exps = [math.exp(value) for value in row]
    return [value / sum(exps) for value in exps]


def entropy_loss(row: list[float], label: int, smoothing: float = 0.0) -> float:
    """Cross-entropy of one sample with smoothed targets."""
    probs, count = softmax(row), len(row)
    return -sum(
        ((k == label) * (1 - smoothing) + smoothing / count) * math.log(p)
        for k, p in enumerate(probs)
    )


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def divergence(now: list[float], then: list[float], temperature: float) -> float:
    p, q = softmax([v / temperature for v in then]), softmax([v / temperature for v in now])
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_er_is_the_mean_cross_entropy_of_all_samples(smoothing: float) -> None:
    fresh, replay = batch([3, 4, 4], 0), batch([0, 1], 1)
    rows = [
        *zip(fresh.logits.tolist(), [3, 4, 4], strict=True),
        *zip(replay.logits.tolist(), [0, 1], strict=True),
    ]
    expected = mean([entropy_loss(row, label, smoothing) for row, label in rows])
    for name in ("er", "mir", "gdumb"):
        assert float(made(name, smoothing).loss(fresh, replay)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_er_ace_lets_fresh_samples_compete_among_their_own_classes(smoothing: float) -> None:
    fresh, replay = batch([3, 4, 4], 0), batch([0, 1], 1)
    ours = [
        entropy_loss(row[3:5], label - 3, smoothing)
        for row, label in zip(fresh.logits.tolist(), [3, 4, 4], strict=True)
    ]
    theirs = [
        entropy_loss(row, label, smoothing)
        for row, label in zip(replay.logits.tolist(), [0, 1], strict=True)
    ]
    assert float(made("er_ace", smoothing).loss(fresh, replay)) == pytest.approx(
        mean(ours) + mean(theirs), rel=1e-5
    )
    assert float(made("er_ace", smoothing).loss(fresh, None)) == pytest.approx(mean(ours), rel=1e-5)


def test_er_ace_pushes_no_class_that_is_not_in_the_batch() -> None:
    fresh = batch([3, 4, 4], 0)
    fresh.logits.requires_grad_()
    made("er_ace", 0.1).loss(fresh, None).backward()
    assert (
        fresh.logits.grad is not None
        and not fresh.logits.grad[:, :3].any()
        and fresh.logits.grad[:, 3:].any()
    )


def test_derpp_holds_the_logits_that_were_known_and_no_others() -> None:
    fresh, replay = batch([3, 4], 0), batch([0, 3], 1)
    then = torch.randn(2, CLASSES, generator=generator(5))
    then[0, OLD:], then[1, SEEN:] = (
        torch.nan,
        torch.nan,
    )  # stored when three classes were seen, and when five were
    replay.extras = {"logits": then.half()}
    kept = then.half().float()
    squares = [
        (float(replay.logits[i, k]) - float(kept[i, k])) ** 2
        for i, n in ((0, OLD), (1, SEEN))
        for k in range(n)
    ]
    new = mean(
        [entropy_loss(row, label) for row, label in zip(fresh.logits.tolist(), [3, 4], strict=True)]
    )
    old = mean(
        [
            entropy_loss(row, label)
            for row, label in zip(replay.logits.tolist(), [0, 3], strict=True)
        ]
    )
    strategy = made("derpp", alpha=0.3, beta=0.7)
    assert float(strategy.loss(fresh, replay)) == pytest.approx(
        new + 0.3 * mean(squares) + 0.7 * old, rel=1e-5
    )
    replay.logits.requires_grad_()
    strategy.loss(fresh, replay).backward()
    assert replay.logits.grad is not None and replay.logits.grad.isfinite().all()


def test_derpp_stores_two_bytes_a_class() -> None:
    assert made("derpp").exemplar_fields(100)["logits"].nbytes == 200


def test_lwf_adds_the_distillation_of_older_classes_without_a_squared_temperature() -> None:
    fresh, strategy = batch([3, 4, 4], 0), made("lwf", alpha=1.5, temperature=2.0)
    plain = float(strategy.loss(fresh, None))
    strategy.old_model = Fixed(3)
    rows = zip(
        fresh.logits[:, :OLD].tolist(),
        strategy.old_model.logits(fresh.inputs).tolist(),
        strict=True,
    )
    expected = plain + 1.5 * mean([divergence(now, then, 2.0) for now, then in rows])
    assert float(strategy.loss(fresh, None)) == pytest.approx(expected, rel=1e-5)


def test_icarl_asks_the_labels_of_new_classes_and_the_old_model_of_older_ones() -> None:
    fresh, replay, strategy = batch([3, 4], 0), batch([0], 1), made("icarl")
    strategy.old_model = Fixed(2)
    total = []
    for part in (fresh, replay):
        old = strategy.old_model.logits(part.inputs)
        for i, label in enumerate(part.labels.tolist()):
            q = [1 / (1 + math.exp(-float(old[i, k]))) for k in range(OLD)] + [
                float(k == label) for k in range(OLD, SEEN)
            ]
            g = [1 / (1 + math.exp(-value)) for value in part.logits[i].tolist()]
            total.append(
                -sum(a * math.log(b) + (1 - a) * math.log(1 - b) for a, b in zip(q, g, strict=True))
            )
    assert float(strategy.loss(fresh, replay)) == pytest.approx(mean(total), rel=1e-5)


def test_the_nearest_mean_is_the_nearest_and_never_a_class_without_samples() -> None:
    features, labels = torch.randn(20, 8, generator=generator()), torch.arange(20) % 3
    sums = feature_sums(
        ((f, y) for f, y in zip(features.split(7), labels.split(7), strict=True)), 4
    )
    unit = features / features.norm(dim=1, keepdim=True)
    means = torch.stack([unit[labels == k].mean(0) for k in range(3)])
    means = means / means.norm(dim=1, keepdim=True)
    tried = torch.randn(50, 8, generator=generator(1))
    distances = torch.cdist(tried / tried.norm(dim=1, keepdim=True), means)
    assert torch.equal(nearest_mean(tried, sums), distances.argmin(1))


def test_wa_weighs_distillation_by_the_share_of_older_classes_and_aligns_new_rows() -> None:
    fresh, replay, strategy = batch([3, 4], 0), batch([0], 1), made("wa")
    hard = float(strategy.loss(fresh, replay))
    head = nn.Linear(8, CLASSES)
    before = head.weight.detach().clone()
    strategy.learner, strategy.old_model = (
        SimpleNamespace(seen=SEEN, model=SimpleNamespace(head=head)),
        Fixed(3),
    )
    logits, then = (
        torch.cat([fresh.logits, replay.logits])[:, :OLD],
        strategy.old_model.logits(torch.zeros(3)),
    )
    soft = mean(
        [divergence(a, b, 2.0) for a, b in zip(logits.tolist(), then.tolist(), strict=True)]
    )
    assert float(strategy.loss(fresh, replay)) == pytest.approx(
        (1 - OLD / SEEN) * hard + OLD / SEEN * soft, rel=1e-5
    )
    with pytest.raises(AttributeError):  # the copy of the model: there is none here
        strategy.after_training_exp()
    length = before.norm(dim=1)
    expected = before.clone()
    expected[OLD:SEEN] *= length[:OLD].mean() / length[OLD:SEEN].mean()
    assert torch.allclose(head.weight, expected)


def test_lucir_holds_features_by_angle_and_ranks_exemplars_above_new_classes() -> None:
    fresh, replay = batch([3, 4], 0), batch([0, 4], 1)
    strategy = made("lucir", distillation=2.0, scale=4.0)
    head = nn.Linear(8, CLASSES)
    strategy.learner = SimpleNamespace(seen=SEEN, grow_head=True, model=SimpleNamespace(head=head))
    strategy.old_model = Fixed(4)
    features = torch.cat([fresh.features, replay.features])
    labels = [3, 4, 0, 4]
    cos = [
        [float(torch.dot(f, w) / f.norm() / w.norm()) for w in head.weight[:SEEN]] for f in features
    ]
    hard = mean(
        [
            entropy_loss([4.0 * c for c in row], label)
            for row, label in zip(cos, labels, strict=True)
        ]
    )
    then = strategy.old_model.features(features)
    turned = mean(
        [
            1 - float(torch.dot(a, b) / a.norm() / b.norm())
            for a, b in zip(features, then, strict=True)
        ]
    )
    ranked = sum(
        max(0.0, 0.5 - cos[2][0] + cos[2][k]) for k in (3, 4)
    )  # of the one exemplar of an older class
    expected = hard + 2.0 * math.sqrt(OLD / (SEEN - OLD)) * turned + ranked
    assert float(strategy.loss(fresh, replay)) == pytest.approx(expected, rel=1e-4)


class Raw:
    """Samples of an experience: noise, five of them."""

    inputs = torch.randn(5, 2, 4, 4, generator=generator(3))


def learner(strategy: Any) -> Any:
    """A real learner of four classes on five raw samples."""
    with torch.random.fork_rng():
        model = initialise(build_vit("micro", token_stem(4), 2, 4), generator(1))
    nn.init.normal_(model.head.weight, std=0.5, generator=generator(2))
    ready = Learner(
        model=model,
        strategy=strategy,
        optimisation=Optimisation(1, 1e-3, 0.0, 0.0, 1.0, "fp32"),
        augment=lambda raw, drawn, train=True: raw,
        grow_head=True,
        device=torch.device("cpu"),
    )
    ready.seen = 4
    maker = BatchMaker(ready.augment, 4, 0.0, 1.0, torch.device("cpu"), Generators(0))
    ready.loader = ReplayLoader(
        maker, Raw.inputs.__getitem__, torch.arange(5), torch.arange(5) % 4, 2, 2, None
    )
    return ready


def test_the_fisher_information_is_the_mean_of_squared_gradients_sample_by_sample() -> None:
    ready = learner(made("ewc"))
    expected = {name: torch.zeros_like(w) for name, w in ready.model.named_parameters()}
    for i in range(5):
        ready.model.zero_grad()
        nn.functional.cross_entropy(
            ready.model(Raw.inputs[i : i + 1]), torch.tensor([i % 4])
        ).backward()
        for name, weight in ready.model.named_parameters():
            expected[name] += weight.grad**2 / 5
    for name, value in diagonal_fisher(ready, 0).items():
        assert torch.allclose(value, expected[name], rtol=1e-3, atol=1e-8), name


def test_ewc_pulls_weights_back_by_half_lambda_times_their_fisher_information() -> None:
    strategy = made("ewc", strength=10.0, decay=0.5)
    ready, fresh = learner(strategy), batch([3, 1], 0)
    plain = float(strategy.loss(fresh, None))
    strategy.after_training_exp()
    first = {name: value.clone() for name, value in strategy.fisher.items()}
    strategy.after_training_exp()
    assert all(torch.allclose(value, 1.5 * first[name]) for name, value in strategy.fisher.items())
    assert float(strategy.loss(fresh, None)) == pytest.approx(plain)
    with torch.no_grad():
        ready.model.head.weight += 0.1
    expected = plain + 10.0 / 2 * float(strategy.fisher["head.weight"].sum()) * 0.1**2
    assert float(strategy.loss(fresh, None).detach()) == pytest.approx(expected, rel=1e-4)


def labelled(count: int, seed: int) -> Batch:
    """A batch of `learner`'s inputs."""
    inputs = torch.randn(count, 2, 4, 4, generator=generator(seed))
    return Batch(inputs, torch.arange(count) % 4, torch.arange(count))


def test_agem_projects_a_gradient_that_would_raise_the_exemplars_loss_and_leaves_others() -> None:
    strategy = made("agem")
    ready, projected = learner(strategy), []
    for seed in range(4):
        fresh, replay = labelled(3, seed), labelled(3, seed)
        replay.labels = (
            replay.labels + seed
        ) % 4  # the same samples, at first with the same labels
        reference = _gradient(ready.model, replay)
        fresh.logits = ready.model(fresh.inputs)
        ready.model.zero_grad()
        strategy.loss(fresh, replay).backward()
        before = torch.cat([w.grad.flatten() for w in ready.model.parameters()])
        strategy.after_backward(fresh, replay)
        after = torch.cat([w.grad.flatten() for w in ready.model.parameters()])
        dot = float(before @ reference)
        expected = before if dot >= 0 else before - dot / float(reference @ reference) * reference
        assert torch.allclose(after, expected, atol=1e-6)
        assert float(after @ reference) >= -1e-4
        projected.append(dot < 0)
    assert len(set(projected)) == 2  # both cases were met


def _gradient(model: Any, of: Batch) -> Tensor:
    model.zero_grad()
    nn.functional.cross_entropy(model(of.inputs), of.labels).backward()
    return torch.cat([w.grad.flatten().clone() for w in model.parameters()])


class Twelve:
    """A memory of twelve exemplars, whose draws are all of them in order."""

    whole = Exemplars(
        torch.randn(12, 2, 4, 4, generator=generator(8)), torch.arange(12) % 4, torch.arange(12), {}
    )

    def __len__(self) -> int:
        return 12

    def sample(self, n: int, drawn: torch.Generator) -> Exemplars:
        return self.whole[torch.arange(n)]


def test_mir_takes_the_candidates_that_a_step_on_the_fresh_samples_harms_most() -> None:
    strategy = made("mir", candidates=12, rate=0.5)
    ready, fresh, whole = learner(strategy), labelled(3, 0), Twelve.whole
    kept = copy.deepcopy(ready.model.state_dict())
    _gradient(ready.model, labelled(2, 5))  # as the last step leaves some
    chosen = strategy.before_sampling(fresh, Twelve(), 3, generator())
    assert all(torch.equal(value, kept[name]) for name, value in ready.model.state_dict().items())
    with torch.no_grad():
        now = nn.functional.cross_entropy(ready.model(whole.inputs), whole.labels, reduction="none")
    gradient = _gradient(ready.model, fresh)
    step = 0.5 * min(1.0, 1.0 / float(gradient.norm()))
    with torch.no_grad():
        for weight in ready.model.parameters():
            weight -= step * weight.grad
        after = nn.functional.cross_entropy(
            ready.model(whole.inputs), whole.labels, reduction="none"
        )
    assert chosen.ids.tolist() == (after - now).argsort(descending=True)[:3].tolist()
    assert strategy.before_sampling(fresh, Twelve(), 12, generator()).ids.tolist() == list(
        range(12)
    )


def test_every_strategy_with_a_loss_of_its_own_is_checked_here() -> None:
    """A new one must be added here, or be known to use the plain loss."""
    checked = {
        "er",
        "mir",
        "gdumb",
        "er_ace",
        "derpp",
        "lwf",
        "icarl",
        "wa",
        "lucir",
        "ewc",
        "agem",
    }
    plain = {"naive", "joint", "cumulative", "ncm", "avalanche"}
    assert {
        name for name, place in plugins.names("strategy").items() if place.startswith("seit_cl.")
    } == checked | plain
