"""A pre-training from its options to the file of the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from seit_cl import __version__
from seit_cl.config import RunConfig
from seit_cl.core.devices import bf16_warning, choose_device
from seit_cl.core.digests import digest, file_digest
from seit_cl.core.errors import UserError
from seit_cl.core.progress import progress_bars
from seit_cl.core.rng import Generators
from seit_cl.experiment.build import (
    build_model,
    build_strategy,
    build_stream,
    choose_precision,
)
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.shared_data import loading_bars
from seit_cl.models import canonical_model
from seit_cl.models._vit import StemAdapter, ViT
from seit_cl.models._weights import save_pretrained
from seit_cl.pretraining.base import MaskedKind
from seit_cl.pretraining.masking import MaskedViT
from seit_cl.pretraining.options import Pretraining
from seit_cl.pretraining.pixels import MaskedPixels
from seit_cl.pretraining.tokens import MaskedTokens
from seit_cl.pretraining.training import MaskedTraining, PretrainingProgress
from seit_cl.tokenizers.commands._output import prepare_output

KINDS: Mapping[str, type[MaskedKind]] = {"tokens": MaskedTokens, "pixels": MaskedPixels}
PRINTED_STEPS = 1000  # steps between lines where the console is no terminal


def pretrain(options: Pretraining, console: Console) -> MaskedTraining:
    """Pre-train a network and write its weights; an interrupted training goes on.

    Args:
        options: see Pretraining.
        console: gets the progress.

    Returns:
        The training, at its end.

    Raises:
        UserError: bad data, a network without patches, or a checkpoint of another training.
    """
    config = options.config
    prepare_output(options.out, "pretrained.safetensors")
    checkpoint = options.out.with_name(f"{options.out.name}.training")
    with progress_bars(console) as bars:
        data = RunData(config, loading_bars(bars))
        ids = training_ids(options, data)
        training = build_training(options, data, ids)
        images = f"{len(ids):,} of {len(data.dataset.train):,} training images"
        console.print(f"{training.kind.objective} of {images}", highlight=False)
        warning = bf16_warning(training.device, config.precision)
        if warning:
            console.print(warning, highlight=False)
        try:
            training.run(_reporter(bars), checkpoint)
        except KeyboardInterrupt:
            console.print(f"interrupted; the same command resumes from {checkpoint}")
            raise
    made = {**describe(options, data, ids), **outcome(training)}
    save_pretrained(options.out, training.model.vit, canonical_model(config.model), made)
    checkpoint.unlink()  # last, since the command resumes as long as it is there
    return training


def training_ids(options: Pretraining, data: RunData) -> Tensor:
    """The training samples (n,) that are seen: those of the stream, or of its first experience.

    Raises:
        UserError: options of a stream that do not fit the data.
    """
    stream = build_stream(options.config, data.dataset, build_strategy(options.config))
    if options.first_experience:
        return stream.train[0].sort().values
    return torch.cat(stream.train).unique()


def build_training(options: Pretraining, data: RunData, ids: Tensor) -> MaskedTraining:
    """Build the training of a network on training samples (n,).

    Raises:
        UserError: the network has no patches, or the data cannot be loaded.
    """
    config = options.config
    device = choose_device(config.device)
    generator = Generators(config.seed)["initialisation"]
    network = build_model(config, data, 1, generator)
    if not isinstance(network, ViT) or not isinstance(network.patch_embed, StemAdapter):
        raise UserError(
            f"--model {config.model}: has no patches to mask; pre-train micro, tiny, small or base"
        )
    kind = KINDS[config.learner](config, data, network.patch_embed, device)
    kind.load()
    model = MaskedViT(network, kind.outputs, generator).to(device)
    return MaskedTraining(
        model,
        kind,
        ids,
        options.settings,
        choose_precision(config),
        config.seed,
        describe(options, data, ids),
        device,
    )


def describe(options: Pretraining, data: RunData, ids: Tensor) -> dict[str, str | int | float]:
    """Name what a network is pre-trained on, for its checkpoint and the metadata of its weights."""
    config = options.config
    described: dict[str, str | int | float] = {
        "objective": KINDS[config.learner].objective,
        "learner": config.learner,
        "model": canonical_model(config.model),
        "dataset": data.dataset.name,
        "dataset_identity": data.dataset.identity,
        "resolution": data.resolution,
        "images": len(ids),
        "images_chosen": _chosen(options),
        "samples_digest": digest(ids.numpy().tobytes()),
        "flip_p": config.flip_p,
    }
    if config.learner == "tokens":
        described["tokenizer_identity"] = data.tokenizer.identity
        if config.token_adapt is not None:
            described["token_adapt_digest"] = file_digest(config.token_adapt)
            described["warp_p"] = config.warp_p
            described["recolour_p"] = config.recolour_p
    return described


def _chosen(options: Pretraining) -> str:
    """The training images that were chosen, in words."""
    config = options.config
    if not options.first_experience:
        left_out = " but the validation part" if config.validation_fraction else ""
        return f"all training images{left_out}"
    return f"first experience of {config.scenario}, class order seed {config.class_order_seed}"


def outcome(training: MaskedTraining) -> dict[str, str | int | float]:
    """Length, settings and loss of a training, for the metadata of the weights."""
    settings: dict[str, Any] = dict(training.settings)
    for name in ("minutes", "steps"):  # those that were taken count
        settings.pop(name)
    return {
        "steps": training.step,
        "passes": round(training.passes, 3),
        "seconds": round(training.seconds, 1),
        "loss": round(training.loss, 6),
        **settings,
        "seit_cl": __version__,
    }


def next_command(config: RunConfig) -> str:
    """The options of a run that fits the weights, after the file's name."""
    words = ["--learner", config.learner, "--model", config.model]
    if config.tokenizer and config.learner == "tokens":
        words += ["--tokenizer", config.tokenizer]
    if config.resolution:
        words += ["--resolution", str(config.resolution)]
    return " ".join(words)


def _reporter(bars: Progress) -> Callable[[PretrainingProgress], None]:
    """Make the function that shows progress, as a bar or in lines."""
    task = bars.add_task("pre-training", total=1.0)

    def report(progress: PretrainingProgress) -> None:
        text = f"step {progress.step} loss {progress.loss:.4f}, {progress.speed:,.0f} images/s"
        bars.update(task, completed=progress.fraction, description=text)
        if not bars.console.is_terminal and progress.step % PRINTED_STEPS == 0:
            bars.console.print(text, highlight=False)

    return report
