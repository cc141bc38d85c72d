"""The cost of offering a sample does not grow with the number of samples offered before."""

import time

import pytest
import torch

from helpers.memory_samples import CONTEXT
from seit_cl.data.samples import Samples
from seit_cl.formats import build_format
from seit_cl.memory import ByteBudgetBuffer, policy_names


class Pool:
    """Token grids from a table, so that the memory's own work is what takes time."""

    grids = torch.randint(200, (10_000, 1, 4, 4)).to(torch.int16)

    def tokens(self, ids):
        return self.grids[ids % len(self.grids)]


@pytest.mark.slow
@pytest.mark.parametrize("policy", policy_names())
def test_cost_per_sample_does_not_grow_with_the_stream(policy):
    buffer = ByteBudgetBuffer(500_000, build_format("tokens", CONTEXT), CONTEXT, policy)
    seconds = {}
    for start in range(0, 500_000, 1000):
        ids = torch.arange(start, start + 1000)
        samples = Samples(ids, ids // 7 % CONTEXT.classes, Pool())
        began = time.process_time()  # of this process: the load of others is no growth
        buffer.offer(samples)
        seconds[start] = time.process_time() - began
    first = sum(spent for start, spent in seconds.items() if start < 10_000) / 10_000
    assert len(buffer) > 25_000
    assert sum(seconds.values()) / 500_000 < 3 * first
