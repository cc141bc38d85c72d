"""`python -m seit_cl.models`: every model with a line of description."""

from __future__ import annotations

from seit_cl.core.cli import run_command
from seit_cl.core.descriptions import print_descriptions


def main() -> None:
    """Print the table."""
    print_descriptions(
        "model",
        "network",
        "--model slim_resnet18:width=32 sets an option; --model timm:vit_small_patch16_224,"
        "weights=FILE starts from a file. --init and --train go with every model.",
    )


if __name__ == "__main__":
    run_command(main)
