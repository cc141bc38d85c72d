"""Variants of the bare model's training step, each with one change against the baseline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from timm.layers import LayerNorm
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from seit_cl.core.rng import Generators
from seit_cl.models._vit import build_vit, initialise, token_stem

CHANNELS = 32  # of the bundled tokenizer's codebook
STRIDE = 8  # its pixels per token
CLASSES = 100
LEARNING_RATE = 5e-4  # the peak of a run
COMPILE_LIMIT = 64  # variants that are compiled in one process; torch's own limit is 8

Precision = Literal["bf16", "fp32", "bf16 weights"]
CompileMode = Literal["default", "max-autotune-no-cudagraphs", "reduce-overhead"]


@dataclass(frozen=True)
class Variant:
    """Training step of the bare model; the defaults are the baseline.

    Args:
        attention: the attention kernel; None for torch's own choice.
        precision: bf16 by autocast, fp32, or weights held in bf16 beside a float32 copy that the
            optimiser updates.
        tf32: compute the matrix products that stay in float32 with TF32.
        fast_norm: compute the norms in bf16, as timm's set_fast_norm does.
        bf16_stream: hold the residual stream in bf16; autocast holds it in float32.
        optimiser: options of AdamW.
        mode: of torch.compile; None for a model that is not compiled.
        channels_last: memory format of the inputs.
    """

    attention: SDPBackend | None = None
    precision: Precision = "bf16"
    tf32: bool = False
    fast_norm: bool = False
    bf16_stream: bool = False
    optimiser: dict[str, bool] = field(default_factory=lambda: {"fused": True})
    mode: CompileMode | None = "default"
    channels_last: bool = True


BASELINE = "baseline"
VARIANTS = {
    "norms in bf16": Variant(fast_norm=True),
    "residual stream in bf16": Variant(bf16_stream=True),
    "norms and stream in bf16": Variant(fast_norm=True, bf16_stream=True),
    "attention: flash": Variant(attention=SDPBackend.FLASH_ATTENTION),
    "attention: cudnn": Variant(attention=SDPBackend.CUDNN_ATTENTION),
    "attention: efficient": Variant(attention=SDPBackend.EFFICIENT_ATTENTION),
    "attention: math": Variant(attention=SDPBackend.MATH),
    "weights in bf16, float32 copy": Variant(precision="bf16 weights"),
    "not compiled": Variant(mode=None),
    "optimiser: foreach": Variant(optimiser={"foreach": True}),
    "optimiser: fused, capturable": Variant(optimiser={"fused": True, "capturable": True}),
    "inputs not channels last": Variant(channels_last=False),
    "TF32 in float32 parts": Variant(tf32=True),
    "fp32": Variant(precision="fp32"),
    "fp32 with TF32": Variant(precision="fp32", tf32=True),
    "compile: reduce-overhead": Variant(mode="reduce-overhead"),
    "compile: max-autotune-no-cudagraphs": Variant(mode="max-autotune-no-cudagraphs"),
}


class ToBf16(nn.Module):
    """Cast to bf16, in place of the dropout at the beginning of the residual stream."""

    def forward(self, x: Tensor) -> Tensor:
        """Cast a tensor of any shape."""
        return x.to(torch.bfloat16)


class MasterWeights:
    """AdamW on float32 copies of a model's bf16 weights.

    Args:
        model: its parameters are bf16.
        options: of AdamW.
    """

    def __init__(self, model: nn.Module, options: dict[str, Any]) -> None:
        self.weights: list[Tensor] = list(model.parameters())
        self.copies = [weight.detach().float() for weight in self.weights]
        self.gradients = [torch.zeros_like(copy) for copy in self.copies]
        for copy, gradient in zip(self.copies, self.gradients, strict=True):
            copy.grad = gradient
        self.optimiser = torch.optim.AdamW(self.copies, **options)

    def zero_grad(self) -> None:
        """Drop the gradients of the bf16 weights."""
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the copies, then the weights."""
        arrived = [weight.grad for weight in self.weights if weight.grad is not None]
        torch._foreach_copy_(self.gradients, arrived)
        self.optimiser.step()
        torch._foreach_copy_(self.weights, self.copies)


class VariantTraining:
    """Training of a ViT on one batch of random inputs that is ready on the device.

    Args:
        variant: how a step is taken.
        size: of the ViT.
        resolution: image side in pixels, from which the tokens' grid follows.
        batch: samples a step.
        device: of model and batch.
        steps: of a call.
    """

    def __init__(
        self,
        variant: Variant,
        size: str,
        resolution: int,
        batch: int,
        device: torch.device,
        steps: int,
    ) -> None:
        self.variant = variant
        self.device = device
        self.steps = steps
        stem = token_stem(resolution // STRIDE)
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(batch, CHANNELS, stem.crop, stem.crop, generator=generator)
        layout = torch.channels_last if variant.channels_last else torch.contiguous_format
        self.inputs = inputs.to(device).contiguous(memory_format=layout)
        self.labels = torch.randint(CLASSES, (batch,), generator=generator).to(device)
        model = initialise(
            build_vit(size, stem, CHANNELS, CLASSES), Generators(0)["initialisation"]
        )
        self.model = change_model(model, variant).to(device).train()
        options: dict[str, Any] = {"lr": LEARNING_RATE, **variant.optimiser}
        self.optimiser: Any
        if variant.precision == "bf16 weights":
            self.model.to(torch.bfloat16)
            self.inputs = self.inputs.to(torch.bfloat16)
            self.optimiser = MasterWeights(self.model, options)
        else:
            self.optimiser = torch.optim.AdamW(self.model.parameters(), **options)
        if variant.mode:
            self.model.compile(dynamic=False, mode=variant.mode)

    def __call__(self) -> Tensor:
        """Take `steps` steps, and return the last one's loss (), detached, on the device."""
        return self.train(self.steps)

    def train(self, steps: int) -> Tensor:
        """Take some steps, and return the last one's loss (), detached, on the device."""
        loss = torch.zeros(())
        with self._settings():
            for _ in range(steps):
                loss = self._step()
        return loss

    def _step(self) -> Tensor:
        autocast = self.variant.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=autocast):
            logits = self.model(self.inputs)
        loss = nn.functional.cross_entropy(logits.float(), self.labels)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.detach()

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Choose attention kernel and float32 products as the variant says."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self.variant.tf32 else "highest")
        try:
            with ExitStack() as settings:
                settings.enter_context(torch._dynamo.config.patch(recompile_limit=COMPILE_LIMIT))
                # The cache of compiled code does not ask for the choice of attention kernel.
                tag = repr(self.variant)
                key = torch.compiler.config.patch(cache_key_tag=tag)  # type: ignore[attr-defined]
                settings.enter_context(key)
                if self.variant.attention is not None:
                    settings.enter_context(sdpa_kernel(self.variant.attention))
                yield
        finally:
            torch.set_float32_matmul_precision(before)


def change_model(model: VisionTransformer, variant: Variant) -> nn.Module:
    """Change a model as a variant says, in place."""
    if variant.fast_norm:
        for module in model.modules():
            if isinstance(module, LayerNorm):
                module._fast_norm = True  # type: ignore[misc]  # timm calls it final, for scripting
    if variant.bf16_stream:
        model.pos_drop = ToBf16()  # type: ignore[assignment]  # a dropout of rate 0
    # A class of its own: torch.compile does not check the choice of attention kernel, and would
    # take the code that it compiled for another variant.
    model.__class__ = type("VariantOfViT", (type(model),), {})
    return model
