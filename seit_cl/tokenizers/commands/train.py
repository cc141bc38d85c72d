"""`python -m seit_cl.tokenize train`: train a tokenizer of the bundled kind, or a ViT-VQGAN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from seit_cl.core.devices import bf16_warning
from seit_cl.core.errors import UserError
from seit_cl.core.progress import progress_bars
from seit_cl.data.decoding import limit_pixels
from seit_cl.tokenizers import _picture, open_tokenizer
from seit_cl.tokenizers._published import PublishedTokenizer
from seit_cl.tokenizers._vit_vqgan_tokenizer import of_model
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer
from seit_cl.tokenizers.commands._figures import beside_bundled
from seit_cl.tokenizers.commands._model_card import model_card
from seit_cl.tokenizers.commands._train_options import check
from seit_cl.tokenizers.commands.options import CODEBOOK, Train
from seit_cl.tokenizers.nets.scalar_autoencoder import ScalarAutoencoder
from seit_cl.tokenizers.nets.vit_vqgan import HEAD_DIM, ViTVQGAN
from seit_cl.tokenizers.nets.vqae import VQAutoencoder, first_levels
from seit_cl.tokenizers.training.coding import Trainable
from seit_cl.tokenizers.training.contrastive import (
    TeacherProgress,
    TeacherSettings,
    TeacherTraining,
)
from seit_cl.tokenizers.training.distilled import DistilledTrainer
from seit_cl.tokenizers.training.images import training_images
from seit_cl.tokenizers.training.trainer import (
    Trainer,
    TrainingProgress,
    TrainingSettings,
)

VIT_CODE_DIM = 32  # D of a ViT-VQGAN (Yu et al., ICLR 2022)
SHOWN = 8  # images of the picture
PRINTED_STEPS = 1000  # steps between lines where the console is no terminal
WARN_STEP = 2000  # step at which dead codes are warned about


def train_command(options: Train) -> None:
    """Run `tokenize train`: train, measure on val, and write the file with its model card.

    After an interruption, the same command resumes.

    Raises:
        UserError: options out of range, or images or a tokenizer that cannot be read.
    """
    check(options)
    limit_pixels(options.max_pixels)
    console = Console()
    images, labels, held_out = training_images(
        options.data_root,
        options.resolution,
        options.fractals,
        options.photos,
        options.leave_out,
    )
    length = f"{options.steps:,} steps" if options.steps else f"{options.minutes:g} minutes"
    console.print(f"training on {len(images):,} images of {options.resolution} px for {length}")
    warning = bf16_warning(torch.device(options.device), options.precision)
    if warning:
        console.print(warning, highlight=False)
    model, start = initial_model(options)
    model = model.to(options.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = _settings(options, start)
    checkpoint = options.out.with_name(f"{options.out.name}.training")
    of_teacher = options.out.with_name(f"{options.out.name}.teacher")
    with progress_bars(console) as bars:
        try:
            if options.targets == "features":
                features = learn_features(images, options, bars, of_teacher)
                trainer: Trainer = DistilledTrainer(model, images, features, settings)
            else:
                trainer = Trainer(model, images, labels, settings)
            groups, codes, _ = model.codebooks.shape
            trainer.run(_reporter(bars, groups * codes), checkpoint)
        except KeyboardInterrupt:
            console.print(f"interrupted; the same command resumes from {checkpoint}")
            raise
    tokenizer = _trained_tokenizer(model)
    tokenizer.card = model_card(options, tokenizer, trainer, held_out)
    tokenizer.save(options.out)
    picture = options.out.with_suffix(".png")
    _draw(tokenizer, held_out, picture)
    checkpoint.unlink()  # last, since the command resumes as long as it is there
    of_teacher.unlink(missing_ok=True)
    console.print(
        f"{options.out}: {tokenizer.card['figures']}, {options.out.stat().st_size / 1e6:.2f} MB; "
        f"{picture}: some of val"
    )
    for line in beside_bundled(tokenizer, held_out):
        console.print(line)


def learn_features(images: Tensor, options: Train, bars: Progress, checkpoint: Path) -> Tensor:
    """Train a teacher on the images (N, 3, S, S) uint8 without labels; return its features (N, W).

    Raises:
        UserError: the checkpoint belongs to another training, or is not readable.
    """
    settings = TeacherSettings(
        minutes=options.minutes,
        steps=options.teacher_steps,
        seed=options.seed,
        precision=options.precision,
    )
    training = TeacherTraining(images.to(options.device), settings)
    task = bars.add_task("teacher", total=1.0)

    def report(progress: TeacherProgress) -> None:
        text = f"teacher step {progress.step} loss {progress.loss:.4f}"
        bars.update(task, completed=progress.fraction, description=text)
        if not bars.console.is_terminal and progress.step % PRINTED_STEPS == 0:
            bars.console.print(f"{text}, {progress.speed:,.0f} images/s")

    training.run(report, checkpoint)
    return training.features()


def _settings(options: Train, start: str) -> TrainingSettings:
    """The trainer's settings; added levels are trained without the classification loss."""
    return TrainingSettings(
        minutes=options.minutes,
        steps=options.steps,
        batch=options.batch,
        crop=options.crop,
        learning_rate=options.learning_rate,
        supervision=0.0 if start else options.supervision,
        seed=options.seed,
        precision=options.precision,
        start=start,
    )


def initial_model(options: Train) -> tuple[Trainable, str]:
    """Build the model at the start of a training, on the CPU.

    Returns:
        The model, and the identity of the tokenizer that levels are added to, or "".

    Raises:
        UserError: --start is not a tokenizer of the bundled kind.
    """
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        if options.architecture == "vit-vqgan":
            return _vit_vqgan(options), ""
        if options.quantiser != CODEBOOK:
            return ScalarAutoencoder(options.quantiser, options.width, options.depth), ""
        if options.start is None:
            model = VQAutoencoder(
                codes=options.codes, width=options.width, depth=options.depth, levels=options.levels
            )
            return model, ""
        start = open_tokenizer(options.start)
        if not isinstance(start, VQAETokenizer) or not isinstance(start.model, VQAutoencoder):
            raise UserError(
                f"--start {options.start}: not of the bundled kind with a codebook; give "
                "bundled or a file of tokenize train"
            )
        model = VQAutoencoder(**{**start.model.config, "levels": options.levels})
    weights = first_levels(start.model, 1).state_dict()
    model.load_state_dict(model.state_dict() | weights)
    if options.levels > 1:  # the detail encoder starts with the same features and adds nothing
        features = start.model.encoder[:-1].state_dict()
        model.detail[:-1].load_state_dict(features)
    return model, start.identity


def _vit_vqgan(options: Train) -> ViTVQGAN:
    heads = options.width // HEAD_DIM
    blocks = (options.width, options.depth, heads, 4 * options.width)  # of encoder and of decoder
    grid = options.resolution // options.patch
    return ViTVQGAN(grid, options.patch, options.codes, VIT_CODE_DIM, blocks, blocks)


def _trained_tokenizer(model: Trainable) -> VQAETokenizer | PublishedTokenizer:
    if isinstance(model, ViTVQGAN):
        return of_model(model)
    return VQAETokenizer(model.cpu())


def _draw(tokenizer: VQAETokenizer | PublishedTokenizer, images: Tensor, out: Path) -> None:
    """Draw reconstructions of about SHOWN of the images (N, 3, S, S) uint8."""
    every = -(-len(images) // SHOWN)
    shown = list(images[::every])
    names = ["val"] * len(shown)
    _picture.save_png(_picture.draw_reconstructions(tokenizer, shown, names), out)


def _reporter(bars: Progress, codes: int) -> Callable[[TrainingProgress], None]:
    """Make the function that shows a training's progress, as a bar or in lines."""
    console = bars.console
    task = bars.add_task("train", total=1.0)

    def report(progress: TrainingProgress) -> None:
        text = (
            f"step {progress.step} loss {progress.loss:.4f} PSNR {progress.psnr:.1f} dB, "
            f"{progress.codes_alive}/{codes} codes alive, {progress.speed:,.0f} images/s"
        )
        bars.update(task, completed=progress.fraction, description=text)
        if not console.is_terminal and progress.step % PRINTED_STEPS == 0:
            console.print(text)
        if progress.step == WARN_STEP and progress.codes_alive < codes / 2:
            console.print(
                "warning: more than half of the codes are dead; use fewer --codes or a lower "
                "--learning-rate"
            )

    return report
