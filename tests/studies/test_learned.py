"""Training of a learned codec: the file that it writes, without CompressAI."""

import torch

from helpers.learned_weights import random_weights, write_weights
from seit_cl.formats._learned_weights import read_codec
from studies.learned import needed


def test_the_written_tensors_are_those_that_the_format_reads(tmp_path):
    state = random_weights(True)
    extra = {
        "g_a.1.beta_reparam.pedestal": torch.ones(1),
        "entropy_bottleneck.matrices.0": torch.ones(6, 3, 1),
        "entropy_bottleneck.likelihood_lower_bound.bound": torch.ones(1),
        "gaussian_conditional.lower_bound_scale.bound": torch.ones(1),
    }
    kept = needed(state | extra)
    assert kept.keys() == state.keys()
    write_weights(tmp_path / "kept.safetensors", kept)
    assert read_codec(tmp_path / "kept.safetensors").hyper is not None
