"""FLOPs by kind of work: nested blocks, blocks in proportion to samples, and further formulas."""

import torch
from torch.nn import functional as F

from seit_cl.core.flops import CountedTransform, FlopMeter, flop_counter

MATRIX = torch.ones(8, 8)
PRODUCT = 2 * 8**3


def test_a_block_within_another_counts_for_its_own_kind_alone() -> None:
    meter = FlopMeter()
    with meter.counting("hooks"):
        _ = MATRIX @ MATRIX
        with meter.counting("decoding"):
            _ = MATRIX @ MATRIX @ MATRIX
        meter.add("testing", 5)  # counted elsewhere: not done here, but taken from this block
    assert meter.totals["decoding"] == 2 * PRODUCT
    assert meter.totals["testing"] == 5
    assert meter.totals["hooks"] == PRODUCT - 5


def test_later_blocks_of_a_key_are_in_proportion_to_their_samples() -> None:
    meter = FlopMeter()
    for samples in (2, 3):
        with meter.counting("encoding", "key", samples):
            _ = torch.ones(2, 8) @ MATRIX  # the second block is not looked at
    assert meter.totals["encoding"] == 5 * 2 * 8 * 8


def test_a_counted_transform_gives_what_its_function_gives() -> None:
    meter = FlopMeter()
    transform = CountedTransform(lambda batch: batch @ MATRIX, meter, "decoding")
    batch = torch.rand(3, 8)
    assert torch.equal(transform(batch), batch @ MATRIX)
    transform(batch[:1])
    assert meter.totals["decoding"] == 4 * 2 * 8 * 8


def test_the_gradient_of_a_grouped_convolution_costs_twice_its_forward_pass() -> None:
    inputs = torch.rand(2, 6, 5, 5, requires_grad=True)
    weight = torch.rand(6, 1, 3, 3, requires_grad=True)
    with flop_counter() as counter:
        output = F.conv2d(inputs, weight, padding=1, groups=6)
    assert counter.get_total_flops() == 2 * 2 * 25 * 6 * 9
    with flop_counter() as backward:
        output.sum().backward()
    assert backward.get_total_flops() == 2 * counter.get_total_flops()


def test_linear_systems_are_counted() -> None:
    positive = MATRIX + 8 * torch.eye(8)
    right = torch.ones(8, 3)
    with flop_counter() as counter:
        factor, _ = torch.linalg.cholesky_ex(positive)
        torch.cholesky_solve(right, factor)
    assert counter.get_total_flops() == 8**3 // 3 + 2 * 8 * 8 * 3
    with flop_counter() as counter:
        torch.linalg.solve(positive, right)
    assert counter.get_total_flops() == 2 * 8**3 // 3 + 2 * 8 * 8 * 3
