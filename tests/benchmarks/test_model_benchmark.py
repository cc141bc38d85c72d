"""The model benchmark measures variants of a step beside a baseline, and kernels by kind."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from benchmarks import model
from benchmarks.kernels import ELEMENTWISE, MATMUL, NORM, OTHER, kernel_times, kind_of
from benchmarks.model_variants import BASELINE, VARIANTS, Variant, VariantTraining
from seit_cl.core.errors import UserError

CPU = torch.device("cpu")
OPTIONS = model.Options(
    model=("micro",),
    resolution=64,
    batch=4,
    compile=False,
    device="cpu",
    rounds=1,
    steps=2,
)
FAILING = "attention: cudnn"  # on a CPU


def train(variant: Variant, steps: int = 2) -> VariantTraining:
    """Take some steps with the micro ViT."""
    training = VariantTraining(replace(variant, mode=None), "micro", 64, 4, CPU, steps)
    training()
    return training


def flat(weights: Iterable[Tensor]) -> Tensor:
    """Join weights of all shapes into one vector."""
    return torch.cat([weight.detach().flatten() for weight in weights])


@pytest.fixture(scope="module")
def result() -> model.ModelResult:
    options = replace(OPTIONS, variants=("norms in bf16", "foreach", FAILING))
    return list(model.measure(options, "micro"))[-1]


def test_every_variant_has_speed_and_loss_beside_the_baseline(result: model.ModelResult) -> None:
    rows = {row.name: row for row in result.rows if not row.failure}
    assert set(rows) == {BASELINE, "norms in bf16", "optimiser: foreach"}
    for row in rows.values():
        assert row.rate is not None and row.rate.median > 0
        assert row.ratio is not None and row.ratio.median > 0
        assert row.loss == pytest.approx(rows[BASELINE].loss, rel=0.01)


def test_a_variant_that_the_machine_cannot_run_gives_the_reason(
    result: model.ModelResult,
) -> None:
    failed = [row for row in result.rows if row.failure]
    assert [row.name for row in failed] == [FAILING]
    assert "RuntimeError" in failed[0].failure
    text = model.report([result], OPTIONS, "typed")
    assert f"| {FAILING} | RuntimeError" in text


def test_kernels_of_a_step_are_tabulated_by_kind(result: model.ModelResult) -> None:
    assert {MATMUL, NORM, "attention", "optimiser"} <= set(result.kernels)
    assert "| no kernel runs |" in model.kernel_table(result)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_attention_kernels_and_their_times_are_measured_on_cuda() -> None:
    options = replace(OPTIONS, variants=("attention",), device="cuda")
    result = list(model.measure(options, "micro"))[-1]
    measured = {row.name for row in result.rows if not row.failure}
    assert {"attention: flash", "attention: efficient", "attention: math"} <= measured
    assert {MATMUL, NORM, "attention", "optimiser"} <= set(result.kernels)


def test_variants_after_the_time_limit_are_left_out() -> None:
    options = replace(OPTIONS, variants=("foreach",), limit=1e-6)
    last = list(model.measure(options, "micro"))[-1].rows[-1]
    assert last.name == "optimiser: foreach"
    assert last.failure.startswith("left out")


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(UserError, match="--variants nonsense: there is no such variant"):
        model.chosen_variants(replace(OPTIONS, variants=("nonsense",)))


def test_an_uncompiled_baseline_has_no_variants_of_the_compiler() -> None:
    names = model.chosen_variants(OPTIONS)
    assert set(VARIANTS) - set(names) == {
        "not compiled",
        "compile: reduce-overhead",
        "compile: max-autotune-no-cudagraphs",
    }
    assert all(variant.mode is None for variant in names.values())


def test_master_weights_are_float32_and_take_about_the_steps_of_a_float32_model() -> None:
    plain = VARIANTS["fp32"]
    rounded = VARIANTS["weights in bf16, float32 copy"]
    assert {weight.dtype for weight in train(rounded).model.parameters()} == {torch.bfloat16}
    copies = train(rounded).optimiser.copies
    assert {copy.dtype for copy in copies} == {torch.float32}
    start = flat(train(plain, steps=0).model.parameters())
    moved = flat(train(plain).model.parameters()) - start
    assert torch.cosine_similarity(flat(copies) - start, moved, dim=0) > 0.8


def test_the_residual_stream_is_held_in_the_variants_precision() -> None:
    seen = []
    for name in ("norms in bf16", "residual stream in bf16"):
        training = train(VARIANTS[name])
        block = training.model.get_submodule("blocks.1")
        block.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
        training.train(1)
    assert seen == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NTT", MATMUL),
        ("triton_tem_fused_addmm_gelu_3", MATMUL),
        ("triton_poi_fused_addmm_gelu_3", ELEMENTWISE),
        ("triton_per_fused__to_copy_add_addmm_native_layer_norm_5", NORM),
        ("void pytorch_flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel", "attention"),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16", "attention"),
        ("fmha_cutlassB_bf16_aligned_64x64_k64_sm80", "attention"),
        ("void at::native::multi_tensor_apply_kernel<FusedAdamMathFunctor>", "optimiser"),
        ("Memcpy DtoD (Device -> Device)", ELEMENTWISE),
        ("sm80_xmma_wgrad_implicit_gemm_indexed_bf16bf16", MATMUL),
        ("void at::native::embedding_kernel", OTHER),
    ],
)
def test_kernels_are_told_apart_by_name(kernel: str, kind: str) -> None:
    assert kind_of(kernel) == kind


def test_a_matrix_product_is_seen_by_the_profiler() -> None:
    left = torch.ones(64, 64)
    seconds = kernel_times(lambda: left @ left, CPU)
    assert seconds[MATMUL] > 0
