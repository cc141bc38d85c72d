"""`python -m seit_cl.tokenize COMMAND`: list kinds of tokenizers, inspect one or its tokens, show what it keeps of images, train
one, fit one to frozen features, drop unused codes, fit what entropy coders know of its codes, encode images to a token file,
import and export the SeiT release's tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tyro

from seit_cl.core.cli import parse_line, run_command
from seit_cl.tokenizers.commands.encode import Encode, encode_command
from seit_cl.tokenizers.commands.entropy import Entropy, entropy_command
from seit_cl.tokenizers.commands.fit import FitFeatures, fit_command
from seit_cl.tokenizers.commands.inspect import Inspect, inspect_command
from seit_cl.tokenizers.commands.prune import Prune, prune_command
from seit_cl.tokenizers.commands.seit_release import (
    ExportSeit,
    ImportSeit,
    export_command,
    import_command,
)
from seit_cl.tokenizers.commands.show import List, Show, list_command, show_command
from seit_cl.tokenizers.commands.train import Train, train_command

COMMANDS: dict[str, tuple[type[Any], Callable[[Any], None]]] = {
    "list": (List, list_command),
    "inspect": (Inspect, inspect_command),
    "show": (Show, show_command),
    "train": (Train, train_command),
    "prune": (Prune, prune_command),
    "fit": (FitFeatures, fit_command),
    "entropy": (Entropy, entropy_command),
    "encode": (Encode, encode_command),
    "import-seit": (ImportSeit, import_command),
    "export-seit": (ExportSeit, export_command),
}


def main() -> None:
    """Parse the command line and run the subcommand."""
    kinds: dict[str, Any] = {name: kind for name, (kind, _) in COMMANDS.items()}
    options = parse_line(
        lambda: tyro.extras.subcommand_cli_from_dict(kinds, prog="python -m seit_cl.tokenize")
    )
    run = {kind: command for kind, command in COMMANDS.values()}[type(options)]
    run(options)


if __name__ == "__main__":
    run_command(main)
