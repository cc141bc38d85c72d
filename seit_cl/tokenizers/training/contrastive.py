"""A network that learns features of images without labels, as the teacher of a tokenizer.

SimCLR (Chen et al., ICML 2020): two random views of an image must be closer to each other than to
views of other images. The network is a small residual network; it is trained on random crops of
half of the images' side, which cost a quarter of the time, and its features are those of whole
images.

Symbols: B images of a batch, V = 2 B views, C side of a view in pixels, W features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.learner.augment.crops import crop_resize, random_resized_boxes
from seit_cl.tokenizers.training.timed import Position, TimedTraining

WIDTHS = (48, 96, 192)  # channels at strides 2, 4 and 8
BLOCKS = (1, 2, 2)  # residual blocks at these strides
PROJECTION = (256, 128)  # hidden and output width in front of the loss
TEMPERATURE = 0.2
WEIGHT_DECAY = 0.02
CROP_SCALE = (0.15, 1.0)  # area of a view as a fraction of the image
JITTER_P = 0.8  # probability that a view's colours are changed
GREY_P = 0.2  # probability that a view is grey
LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in grey (ITU-R BT.601)
MEAN = 0.45  # of the pixels' values in 0 to 1, roughly
DEVIATION = 0.27
CHUNK = 250  # images whose features are computed at a time


@dataclass(frozen=True)
class TeacherSettings:
    """Settings of a teacher's training.

    Args:
        minutes: wall-clock time.
        steps: optimiser steps, in place of the minutes; 0: the minutes count.
        batch: images per step, each in two views.
        learning_rate: peak rate of AdamW.
        seed: of weights, batches and views.
        precision: of the forward pass.
    """

    minutes: float
    steps: int = 0
    batch: int = 192
    learning_rate: float = 2e-3
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"


class TeacherProgress(NamedTuple):
    """Progress of a teacher's training.

    Args:
        step: optimiser steps before the reported one.
        fraction: of the training.
        speed: images per second.
        loss: of the reported step.
    """

    step: int
    fraction: float
    speed: float
    loss: float


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut: (B, C, H, W) -> the same; at first the identity.

    Args:
        width: C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width, 1)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return F.relu(x + self.norm(self.second(self.first(x))))


def convolution(channels: int, width: int, stride: int) -> nn.Sequential:
    """A 3 x 3 convolution with batch normalisation and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )


class Teacher(nn.Module):
    """A residual network from images (B, 3, C, C) in 0 to 1 to features (B, W)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, blocks in zip(WIDTHS, BLOCKS, strict=True):
            layers.append(convolution(channels, width, 2))
            layers += [ResidualBlock(width) for _ in range(blocks)]
            channels = width
        self.body = nn.Sequential(*layers)
        hidden, out = PROJECTION
        self.projection = nn.Sequential(
            nn.Linear(channels, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out)
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, C, C) in 0 to 1 -> features (B, W)."""
        scaled = (images - MEAN) / DEVIATION
        return self.body(scaled).mean((2, 3))  # type: ignore[no-any-return]


class TeacherTraining(TimedTraining):
    """Train a teacher on images that are all in memory.

    Args:
        images: (N, 3, S, S) uint8 on the device of the training.
        settings: see TeacherSettings.
    """

    def __init__(self, images: Tensor, settings: TeacherSettings) -> None:
        super().__init__(settings.minutes, settings.steps, settings.batch, settings.learning_rate)
        self.images = images
        self.settings = settings
        self.side = images.shape[-1] // 2
        self.generator = torch.Generator().manual_seed(settings.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            teacher = Teacher()
        self.teacher = teacher.to(images.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.teacher.parameters(),
            lr=settings.learning_rate,
            weight_decay=WEIGHT_DECAY,
            fused=True,
        )

    def train_step(self) -> tuple[Tensor, ...]:
        """Take one optimiser step and return its loss."""
        count = min(self.batch, len(self.images))
        indices = torch.randint(len(self.images), (count,), generator=self.generator)
        images = self.images[indices.to(self.images.device)].float()
        views = torch.cat([self.draw_view(images), self.draw_view(images)])
        views = views.contiguous(memory_format=torch.channels_last)
        with self.autocast():
            projected = self.teacher.projection(self.teacher(views))
        loss = contrastive_loss(projected.float())
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.step += 1
        return (loss.detach(),)

    def draw_view(self, images: Tensor) -> Tensor:
        """Draw a view (B, 3, C, C) in 0 to 1 of each image (B, 3, S, S) in 0 to 255."""
        count = len(images)
        boxes = random_resized_boxes(count, self.generator, CROP_SCALE).to(images.device)
        view = crop_resize(images, boxes, self.side).clamp(0, 255) / 255
        uniform = torch.rand(6, count, 1, 1, 1, generator=self.generator).to(images.device)
        cast = torch.randn(count, 3, 1, 1, generator=self.generator).to(images.device)
        jittered = change_colours(view, uniform[0], uniform[1], uniform[2], cast)
        view = torch.where(uniform[3] < JITTER_P, jittered, view)
        view = torch.where(uniform[4] < GREY_P, grey(view).expand_as(view), view)
        return torch.where(uniform[5] < 0.5, view.flip(3), view)

    def autocast(self) -> torch.autocast:
        """Context in which the network computes in the precision of the settings."""
        bf16 = self.settings.precision == "bf16"
        return torch.autocast(self.images.device.type, torch.bfloat16, enabled=bf16)

    @torch.no_grad()
    def features(self) -> Tensor:
        """Features (N, W) of the whole images, each the mean of an image and its mirror image.

        The mean over all images is subtracted.
        """
        self.teacher.eval()
        features = []
        for chunk in self.images.split(CHUNK):
            scaled = (chunk.float() / 255).contiguous(memory_format=torch.channels_last)
            with self.autocast():
                both = self.teacher(scaled) + self.teacher(scaled.flip(3))
            features.append(both.float() / 2)
        self.teacher.train()
        all_features = torch.cat(features)
        return all_features - all_features.mean(0)

    def progress(self, position: Position, *values: Tensor) -> TeacherProgress:
        """Progress after a step with a loss."""
        return TeacherProgress(*position, loss=float(values[0]))

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "kind": "seit_cl teacher training",
            "settings": vars(self.settings),
            "config": {"widths": WIDTHS, "blocks": BLOCKS},
            "images": len(self.images),
            "model": self.teacher.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same settings and images."""
        self.teacher.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])


def change_colours(
    view: Tensor, saturation: Tensor, contrast: Tensor, brightness: Tensor, cast: Tensor
) -> Tensor:
    """Change saturation by up to 80 %, contrast by 60 %, brightness by 40 %, and each channel.

    Args:
        view: (B, 3, C, C) in 0 to 1.
        saturation: uniform numbers (B, 1, 1, 1) in 0 to 1, as are contrast and brightness.
        contrast: see above.
        brightness: see above.
        cast: normal numbers (B, 3, 1, 1), a fifth of which scales the channels.
    """
    centre = grey(view)
    view = centre + (view - centre) * (0.2 + 1.6 * saturation)
    mean = view.mean((1, 2, 3), keepdim=True)
    view = mean + (view - mean) * (0.4 + 1.2 * contrast)
    view = view * (0.6 + 0.8 * brightness)
    return view * (1 + 0.2 * cast)


def grey(images: Tensor) -> Tensor:
    """Luma (B, 1, C, C) of images (B, 3, C, C)."""
    weights = torch.tensor(LUMA, device=images.device)[:, None, None]
    return (images * weights).sum(1, keepdim=True)


def contrastive_loss(projected: Tensor) -> Tensor:
    """NT-Xent of views (V, P), the second half of which are other views of the first half's images.

    Source: Chen et al., ICML 2020, equation 1.
    """
    unit = F.normalize(projected, dim=1)
    similarity = unit @ unit.T / TEMPERATURE
    count = len(similarity)
    itself = torch.eye(count, dtype=torch.bool, device=similarity.device)
    similarity = similarity.masked_fill(itself, -torch.inf)
    partner = torch.arange(count, device=similarity.device).roll(count // 2)
    return F.cross_entropy(similarity, partner)
