"""The training step: what the optimiser decays, and the schedule of an experience."""

import pytest
import torch

from seit_cl.core.specs import NoOptions
from seit_cl.learner.batches import BatchMaker, ReplayLoader
from seit_cl.learner.learner import Learner
from seit_cl.learner.optim import Optimisation
from seit_cl.learner.strategy import Strategy
from seit_cl.learner.vit import build_vit, token_stem


def learner(weight_decay: float = 0.05) -> Learner:
    """A learner of four classes on an experience of two epochs of three steps."""
    model = build_vit("micro", token_stem(4), 2, 4)
    made = Learner(
        model=model,
        strategy=Strategy(NoOptions()),
        grow_head=True,
        device=torch.device("cpu"),
        optimisation=Optimisation(2, 1e-3, weight_decay, 0.5, 1.0, "fp32"),
        augment=lambda raw, gen, train=True: raw,
    )
    maker = BatchMaker(made.augment, 4, 0.0, 1.0, torch.device("cpu"), None)  # type: ignore[arg-type]  # never called
    made.loader = ReplayLoader(maker, lambda ids: ids, torch.arange(5), torch.zeros(5), 2, 2, None)
    made.check_model_and_optimizer()
    return made


@pytest.mark.parametrize("weight_decay", [0.05, 0.0])
def test_weights_decay_and_biases_norms_and_positions_do_not(weight_decay: float) -> None:
    made = learner(weight_decay)
    decay = {
        id(p): group["weight_decay"]
        for group in made.optimizer.param_groups
        for p in group["params"]
    }
    for name, parameter in made.model.named_parameters():
        spared = name == "pos_embed" or parameter.ndim == 1
        assert decay.pop(id(parameter)) == (0.0 if spared else weight_decay), name
    assert not decay


def test_the_rate_warms_up_to_its_peak_and_falls_without_reaching_zero_early() -> None:
    made, rates = learner(), []
    for _ in range(6):
        rates.append(made.optimizer.param_groups[0]["lr"])
        made.optimizer.step()
        made.schedule.step()
    assert rates[:3] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
    assert rates[3] == 1e-3 and rates[3] > rates[4] > rates[5] > 0


def test_features_are_what_the_head_sees() -> None:
    made = learner()
    torch.nn.init.normal_(made.model.head.weight, generator=torch.Generator().manual_seed(0))
    made.seen, raw = 4, torch.randn(7, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    features = made.features(raw, batch=3)
    assert features.shape == (7, made.model.num_features)
    assert torch.equal(made.model.head(features.clone()).argmax(1), made.predict(raw))
