"""Networks of learned codecs: the factorized prior and the scale hyperprior of Balle et al.

"Variational image compression with a scale hyperprior" (ICLR 2018), with the layers and names of
tensors of CompressAI (Begaint et al., 2020, arXiv:2011.03029): bmshj2018-factorized and
bmshj2018-hyperprior.

Scales of a hyperprior decide how a record is read, so a decoder must get exactly the encoder's.
Floating-point sums differ with their order, thus among machines (Balle et al., "Integer networks
for data compression with latent-variable models", ICLR 2019). Here their network computes on
multiples of powers of two in float64, whose sums are exact in any order.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

State = Mapping[str, Tensor]
LAYERS = (0, 2, 4, 6)  # convolutions of analysis and synthesis, with a GDN between two
HYPER_LAYERS = (0, 2, 4)  # of the hyperprior's, with a ReLU between two
KERNEL = 5
# Of GDN's parameters, which are stored as square roots (Balle et al., ICLR 2018, appendix 6.1).
PEDESTAL = 2.0**-36
LEAST_BETA = 1e-6
# The exact network: weights are multiples of 2**-16, activations of 2**-12 up to 2**15.
WEIGHT_UNIT = 2.0**-16
ACTIVATION_UNIT = 2.0**-12
LARGEST_ACTIVATION = 2.0**15
LARGEST_WEIGHTS = 2.0**9  # sum of absolute weights of an output; sums stay below 2**53 units


def shapes(channels: int, latents: int, hyperprior: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of a codec.

    Args:
        channels: N.
        latents: M.
        hyperprior: True for bmshj2018-hyperprior.
    """
    n, m = channels, latents
    found: dict[str, tuple[int, ...]] = {}
    for layer, outputs, inputs in zip(LAYERS, (n, n, n, m), (3, n, n, n), strict=True):
        found[f"g_a.{layer}.weight"] = (outputs, inputs, KERNEL, KERNEL)
        found[f"g_a.{layer}.bias"] = (outputs,)
    for layer, inputs, outputs in zip(LAYERS, (m, n, n, n), (n, n, n, 3), strict=True):
        found[f"g_s.{layer}.weight"] = (inputs, outputs, KERNEL, KERNEL)
        found[f"g_s.{layer}.bias"] = (outputs,)
    for part in ("g_a", "g_s"):
        for layer in LAYERS[:-1]:
            found[f"{part}.{layer + 1}.beta"] = (n,)
            found[f"{part}.{layer + 1}.gamma"] = (n, n)
    found["entropy_bottleneck.quantiles"] = (n if hyperprior else m, 1, 3)
    if hyperprior:
        found |= _hyper_shapes(n, m)
    return found


def _hyper_shapes(n: int, m: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of the hyperprior's two networks."""
    return {
        "h_a.0.weight": (n, m, 3, 3),
        "h_a.0.bias": (n,),
        "h_a.2.weight": (n, n, KERNEL, KERNEL),
        "h_a.2.bias": (n,),
        "h_a.4.weight": (n, n, KERNEL, KERNEL),
        "h_a.4.bias": (n,),
        "h_s.0.weight": (n, n, KERNEL, KERNEL),
        "h_s.0.bias": (n,),
        "h_s.2.weight": (n, n, KERNEL, KERNEL),
        "h_s.2.bias": (n,),
        "h_s.4.weight": (m, n, 3, 3),
        "h_s.4.bias": (m,),
    }


def analysis(state: State, images: Tensor) -> Tensor:
    """Latents y (B, M, H / 16, W / 16) of images (B, 3, H, W) in [0, 1]."""
    x = images
    for layer in LAYERS:
        x = _halved(state, f"g_a.{layer}", x)
        if layer != LAYERS[-1]:
            x = x * _norm(state, f"g_a.{layer + 1}", x).rsqrt()
    return x


def synthesis(state: State, latents: Tensor) -> Tensor:
    """Images (B, 3, 16 h, 16 w) around [0, 1] of latents (B, M, h, w)."""
    x = latents
    for layer in LAYERS:
        x = _doubled(x, state[f"g_s.{layer}.weight"], state[f"g_s.{layer}.bias"])
        if layer != LAYERS[-1]:
            x = x * _norm(state, f"g_s.{layer + 1}", x).sqrt()
    return x


def hyper_analysis(state: State, latents: Tensor) -> Tensor:
    """Side information z (B, N, h / 4, w / 4) of latents y (B, M, h, w)."""
    x = F.conv2d(latents.abs(), state["h_a.0.weight"], state["h_a.0.bias"], padding=1)
    x = _halved(state, "h_a.2", x.relu())
    return _halved(state, "h_a.4", x.relu())


class HyperSynthesis:
    """Scales of latents from side information, exactly the same on every machine.

    Args:
        state: weights by name.

    Raises:
        ValueError: weights so large that sums would be rounded.
    """

    def __init__(self, state: State) -> None:
        self.state: dict[str, Tensor] = {}
        for layer in HYPER_LAYERS:
            weight = state[f"h_s.{layer}.weight"].double()
            bias = state[f"h_s.{layer}.bias"].double()
            outputs_at = 0 if layer == HYPER_LAYERS[-1] else 1
            others = [dim for dim in range(4) if dim != outputs_at]
            total = weight.abs().sum(others) + bias.abs() / LARGEST_ACTIVATION
            if not bool((total < LARGEST_WEIGHTS).all()):
                raise ValueError("weights of h_s that are too large")
            self.state[f"h_s.{layer}.weight"] = (weight / WEIGHT_UNIT).round() * WEIGHT_UNIT
            self.state[f"h_s.{layer}.bias"] = (bias / WEIGHT_UNIT).round() * WEIGHT_UNIT

    def __call__(self, side: Tensor) -> Tensor:
        """Scales (B, M, 4 h, 4 w) float64 of side information (B, N, h, w)."""
        x = _exact(side.double())
        for layer in HYPER_LAYERS:
            weight, bias = self.state[f"h_s.{layer}.weight"], self.state[f"h_s.{layer}.bias"]
            if layer == HYPER_LAYERS[-1]:
                x = F.conv2d(x, weight, bias, padding=1)
            else:
                x = _doubled(x, weight, bias)
            x = _exact(x.relu())
        return x


def _exact(x: Tensor) -> Tensor:
    """Round activations to multiples of their unit, within their range."""
    bounded = x.clamp(-LARGEST_ACTIVATION, LARGEST_ACTIVATION)
    return (bounded / ACTIVATION_UNIT).round() * ACTIVATION_UNIT


def _halved(state: State, name: str, x: Tensor) -> Tensor:
    """Convolve to half the side."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return F.conv2d(x, weight, bias, stride=2, padding=KERNEL // 2)


def _doubled(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve, transposed, to twice the side."""
    return F.conv_transpose2d(x, weight, bias, stride=2, padding=KERNEL // 2, output_padding=1)


def _norm(state: State, name: str, x: Tensor) -> Tensor:
    """The square of GDN's divisor (Balle et al., ICLR 2016), of features (B, C, h, w)."""
    beta = state[f"{name}.beta"].clamp_min((LEAST_BETA + PEDESTAL) ** 0.5) ** 2 - PEDESTAL
    gamma = state[f"{name}.gamma"].clamp_min(PEDESTAL**0.5) ** 2 - PEDESTAL
    return F.conv2d(x * x, gamma[:, :, None, None], beta)
