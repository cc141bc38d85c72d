"""`python -m seit_cl.tokenize COMMAND`: tokenizers, token files and SeiT releases.

Commands: list the kinds of tokenizers, inspect a file or a tokenizer, show reconstructions, train a
tokenizer, fit one to frozen features, prune unused codes, fit the entropy model of its codes,
encode images to a token file, and import or export the tokens of the SeiT release.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tyro

from seit_cl.core.cli import parse_line, run_command
from seit_cl.tokenizers.commands._train_options import Train
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
from seit_cl.tokenizers.commands.train import train_command

# Name of a subcommand -> its options and its function.
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
    option_types: dict[str, Any] = {name: options for name, (options, _) in COMMANDS.items()}
    functions = {options: function for options, function in COMMANDS.values()}
    options = parse_line(
        lambda: tyro.extras.subcommand_cli_from_dict(
            option_types,
            prog="python -m seit_cl.tokenize",
            description="Train, inspect, prune and apply tokenizers.",
        )
    )
    functions[type(options)](options)


if __name__ == "__main__":
    run_command(main)
