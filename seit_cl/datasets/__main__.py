"""`python -m seit_cl.datasets`: every kind of data that --data-root takes."""

from __future__ import annotations

from seit_cl.core.cli import run_command
from seit_cl.core.descriptions import print_descriptions


def main() -> None:
    """Print the table."""
    print_descriptions(
        "dataset",
        "data",
        "--data-root PATH finds the kind by looking at the path; --data-root "
        "KIND:PATH,option=value names it (docs/your-own.md).",
    )


if __name__ == "__main__":
    run_command(main)
