"""`python -m seit_cl.tokenize COMMAND`: tokenizers, token files and SeiT releases.

Commands: list the kinds of tokenizers, inspect a file or a tokenizer, show reconstructions, train a
tokenizer, or a map of its tokens for augmentation, fit one to frozen features, prune unused codes,
fit the entropy model of its codes, encode images to a token file, and import or export the tokens
of the SeiT release.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import tyro

from seit_cl.core import torchrun
from seit_cl.core.cli import parse_line, program, run_command
from seit_cl.core.importing import importing
from seit_cl.tokenizers.commands.options import (
    Adapt,
    Encode,
    Entropy,
    ExportSeit,
    FitFeatures,
    ImportSeit,
    Inspect,
    List,
    Prune,
    Show,
    Train,
)

DIVIDED = "encode"  # among the processes of torchrun
# Name of a subcommand -> its options, and its module and function, which is imported to run it.
COMMANDS: dict[str, tuple[type[Any], str, str]] = {
    "list": (List, "list", "list_command"),
    "inspect": (Inspect, "inspect", "inspect_command"),
    "show": (Show, "show", "show_command"),
    "train": (Train, "train", "train_command"),
    "adapt": (Adapt, "adapt", "adapt_command"),
    "prune": (Prune, "prune", "prune_command"),
    "fit": (FitFeatures, "fit", "fit_command"),
    "entropy": (Entropy, "entropy", "entropy_command"),
    "encode": (Encode, "encode", "encode_command"),
    "import-seit": (ImportSeit, "seit_release", "import_command"),
    "export-seit": (ExportSeit, "seit_release", "export_command"),
}


def main() -> None:
    """Parse the command line and run the subcommand."""
    option_types: dict[str, Any] = {name: command[0] for name, command in COMMANDS.items()}
    options = parse_line(
        lambda: tyro.extras.subcommand_cli_from_dict(
            option_types,
            prog=program("tokenize"),
            description="Train, inspect, prune and apply tokenizers.",
        )
    )
    for name, (options_type, module, function) in COMMANDS.items():
        if isinstance(options, options_type):
            if name != DIVIDED:
                torchrun.refuse_several(f"tokenize {name}")
            with importing():
                command = import_module(f"seit_cl.tokenizers.commands.{module}")
            getattr(command, function)(options)


if __name__ == "__main__":
    run_command(main, several=True)
