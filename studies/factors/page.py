"""Tables of the study of three factors, from its result files."""

from __future__ import annotations

from pathlib import Path

import torch

from seit_cl import read_runs
from seit_cl.reporting.markdown import page, table
from studies.factors.arms import ARMS, BUDGETS, RIVALS
from studies.results import (
    Group,
    Pair,
    accuracy_cells,
    at_budget,
    difference_cells,
    exemplars,
    final,
    interval,
    paired,
    read_group,
)

# Differences of two arms and what they are due to.
DIFFERENCES = (
    ("bytes", "tokens-labels", "images-tokens-labels", "same learner, same labels"),
    ("bytes", "tokens", "images-tokens", "same learner, no labels"),
    ("bytes", "tokens-same-codec", "images-same-codec", "and all images through the codec"),
    ("labels", "tokens-labels", "tokens", "in the tokenizer"),
    ("labels", "tokens-vit", "tokens", "in the token ViT"),
    ("labels", "pixels-vit", "pixels", "in the pixel ViT"),
    ("labels", "pixels-vit", "pixels-features", "beyond training on the images without them"),
    ("labels", "cnn-labels", "cnn", "in the CNN"),
    ("images without labels", "pixels-features", "pixels", "in the pixel ViT"),
    ("bytes and modality", "tokens", "pixels", "no labels, and no other images for the pixels"),
    ("bytes and modality", "tokens", "pixels-features", "the same images without labels"),
    ("bytes and modality", "tokens-labels", "pixels-vit", "labels for both"),
    ("bytes and modality", "tokens-labels", "cnn-labels", "labels for both"),
    ("bytes and modality", "tokens-vit", "pixels-vit", "labels for both, in the ViT"),
    ("quantiser", "images-tokens-labels", "latents", "same images, same encoder"),
)


def all_lengths(out: Path, prefix: str) -> list[int]:
    """Lengths in epochs for which any arm has runs, from folders such as epochs-10."""
    found = {path.name.removeprefix(prefix) for path in out.glob(f"*/{prefix}*")}
    return sorted(int(text) for text in found if text.isdecimal())


def study_page(out: Path, command: str) -> str:
    """The page of a folder of results, as far as it is filled."""
    sections = [table(["memory, MB", *RIVALS], codecs())]
    for epochs in all_lengths(out, "epochs-"):
        groups = {name: read_group(out / name / f"epochs-{epochs}") for name in ARMS}
        sections.append(f"## {epochs} epochs an experience")
        sections.append(accuracies(groups))
        sections.append(differences(groups))
    sections.append("## Length, at 0.1 MB\n\n" + length_table(out, "epochs-"))
    sections.append("## Length, joint training\n\n" + length_table(out, "joint-"))
    sections.append("## Number\n\n" + number_table(out))
    sections.append("## Labelled pre-training\n\n" + pretraining_table(out))
    return page("Bytes, labels, length", command, torch.device("cpu"), sections)


def codecs() -> list[list[str]]:
    """The codec of the images at each budget, for every learner."""
    rows = []
    for budget in BUDGETS:
        formats = [f"`{of_budget[budget]}`" for of_budget in RIVALS.values()]
        rows.append([f"{budget:g}", *formats])
    return rows


def accuracies(groups: dict[str, Group]) -> str:
    """A row for every arm: final and average accuracy and exemplars at each budget."""
    head = ["arm", *[f"{budget:g} MB: {what}" for budget in BUDGETS for what in _COLUMNS]]
    rows = []
    for name, group in groups.items():
        if not group:
            continue
        cells = [ARMS[name].description]
        for budget in BUDGETS:
            results = at_budget(group, budget)
            cells += [*accuracy_cells(results), exemplars(results), str(len(results))]
        rows.append(cells)
    return table(head, rows)


_COLUMNS = ("final %", "average %", "exemplars", "seeds")


def differences(groups: dict[str, Group]) -> str:
    """A row for every pair of arms of DIFFERENCES, and pairs of runs with equal seed and order."""
    columns = ("final", "average", "pairs")
    head = ["due to", "comparison", *[f"{b:g} MB: {what}" for b in BUDGETS for what in columns]]
    rows = []
    for factor, first, second, note in DIFFERENCES:
        pairs = [paired(groups[first], groups[second], budget) for budget in BUDGETS]
        if not any(pairs):
            continue
        cells = [factor, f"`{first}` - `{second}`: {note}"]
        for matched in pairs:
            cells += difference_cells(matched)
        rows.append(cells)
    return table(head, rows)


def length_table(out: Path, prefix: str) -> str:
    """Final accuracy of every arm at each length, over the seeds of its longest training.

    Args:
        out: folder of the results.
        prefix: of an arm's folders, "epochs-" or "joint-".
    """
    lengths = all_lengths(out, prefix)
    rows = []
    for name, arm in ARMS.items():
        groups = [read_group(out / name / f"{prefix}{epochs}") for epochs in lengths]
        filled = [group for group in groups if group]
        if len(filled) < 2:
            continue
        longest = sorted(filled[-1])
        cells = [arm.description]
        for group in groups:
            cells.append(interval([final(group[key]) for key in longest if key in group]))
        rows.append([*cells, str(len(longest))])
    return table(["arm", *[f"{epochs} epochs" for epochs in lengths], "seeds"], rows)


def pretraining_table(out: Path) -> str:
    """Accuracy of every pre-trained learner on test images of the classes that it learnt."""
    rows = []
    for name in ARMS:
        folder = out / "pretrained" / name
        for result in read_runs(folder) if folder.is_dir() else ():
            if result.status == "finished":
                steps = int(result.facts["steps"])
                rows.append([ARMS[name].description, f"{steps:,}", f"{final(result):.1f}"])
    return table(["arm", "steps of 64 images", "accuracy on its own classes, %"], rows)


def number_table(out: Path) -> str:
    """Tokens with as many exemplars as images, paired by seed."""
    rows = []
    for name, images in (("tokens-labels", "images-tokens-labels"), ("tokens", "images-tokens")):
        limited: Group = {}
        for folder in sorted((out / name).glob("number-*")):
            limited |= read_group(folder)
        lengths = {int(result.run.config["epochs"]) for result in limited.values()}
        for epochs in sorted(lengths):
            of_images = read_group(out / images / f"epochs-{epochs}")
            for budget in BUDGETS:
                matched = paired(limited, of_images, budget)
                if matched:
                    rows.append(_number_row(name, budget, matched))
    head = ["arm", "budget of the images, MB", "exemplars", "tokens, final %", "images, final %"]
    return table([*head, "difference", "pairs"], rows)


def _number_row(name: str, budget: float, matched: list[Pair]) -> list[str]:
    tokens = [first for first, _ in matched]
    stored = [second for _, second in matched]
    gap, _, pairs = difference_cells(matched)
    return [
        ARMS[name].description,
        f"{budget:g}",
        f"{exemplars(tokens)}, {exemplars(stored)}",
        interval([final(result) for result in tokens]),
        interval([final(result) for result in stored]),
        gap,
        pairs,
    ]
