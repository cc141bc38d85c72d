"""Compare formats without training: exemplars in a budget, bytes, fidelity, speed and cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from seit_cl.core.cli import MaxPixels, OutPath, parse_line, program, run_command
from seit_cl.core.extras import check_extra
from seit_cl.core.files import make_writable_folder, write_atomic
from seit_cl.core.importing import importing
from seit_cl.core.limits import MAX_PIXELS
from seit_cl.core.sizes import check_budget, size_reader
from seit_cl.datasets._location import location_name
from seit_cl.formats import check_format_name
from seit_cl.reporting.cost import (
    ENCODING_HELP,
    ENCODING_PRICE,
    REQUIRED_PRICES,
    Prices,
    prices_of,
)
from seit_cl.tokenizers import DEFAULT_TOKENIZER

DEFAULT_FORMATS = (
    "raw",
    "png",
    "jpeg:quality=75",
    "jpeg:quality=25",
    "jpeg_scan:quality=25",
    "webp:quality=25",
    "avif:quality=25",
    "tokens",
    "tokens:coder=table",
    "tokens:coder=context",
    "tokens:coder=compact",
)
DEFAULT_BUDGETS = (1.0, 10.0, 100.0)


@dataclass(frozen=True)
class Options:
    """Options of the density table."""

    data_root: Annotated[
        Path,
        tyro.conf.arg(
            help="images, as --data-root of seit_cl.run; only val/ is used if there is one; or a "
            "token file"
        ),
    ]
    format: Annotated[tuple[str, ...], tyro.conf.arg(help="formats to compare")] = DEFAULT_FORMATS
    memory_mb: Annotated[
        tuple[Annotated[float, size_reader("--memory-mb")], ...],
        tyro.conf.arg(help="budgets in MB (10^6 bytes), or as 20kB or 1.5GB"),
    ] = DEFAULT_BUDGETS
    resolution: Annotated[
        int,
        tyro.conf.arg(
            help="side in pixels; 0: as in a run, the most common shorter side, 32 to 256"
        ),
    ] = 0
    images: Annotated[
        int, tyro.conf.arg(help="number of images to measure, taken evenly from the folder")
    ] = 500
    tokenizer: Annotated[
        str, tyro.conf.arg(help="a tokenizer file, or kind:SOURCE,option=value")
    ] = DEFAULT_TOKENIZER
    skip_bad_images: Annotated[
        bool, tyro.conf.arg(help="leave unreadable images out and name them")
    ] = False
    max_pixels: MaxPixels = MAX_PIXELS
    show: Annotated[
        tuple[Path, ...],
        tyro.conf.arg(
            help="images to show before and after each format; some of those measured if none is "
            "given"
        ),
    ] = ()
    cost_per_gb_month: Annotated[
        float | None, tyro.conf.arg(help=REQUIRED_PRICES["--cost-per-gb-month"])
    ] = None
    images_per_day: Annotated[
        float | None, tyro.conf.arg(help=REQUIRED_PRICES["--images-per-day"])
    ] = None
    retention_months: Annotated[
        float | None, tyro.conf.arg(help=REQUIRED_PRICES["--retention-months"])
    ] = None
    cost_per_core_hour: Annotated[float | None, tyro.conf.arg(help=ENCODING_HELP)] = None
    out: Annotated[
        OutPath, tyro.conf.arg(help="folder to write the table, figure and picture to")
    ] = Path("density")

    @property
    def prices(self) -> Prices | None:
        """Prices of storage; None if none is given.

        Raises:
            UserError: as `prices_of`.
        """
        options = (*REQUIRED_PRICES, ENCODING_PRICE)
        return prices_of(
            {option: getattr(self, option.strip("-").replace("-", "_")) for option in options}
        )

    def chosen_formats(self, has_images: bool) -> tuple[str, ...]:
        """Formats to measure: by default, `tokens` alone where there are no images."""
        if self.format == DEFAULT_FORMATS and not has_images:
            return ("tokens",)
        return self.format


def main() -> None:
    """Measure, and write table and figure, and a picture where there are images."""
    options = parse_line(lambda: tyro.cli(Options, prog=program("density"), description=__doc__))
    for spec in options.format:
        check_format_name(spec)
    for budget in options.memory_mb:
        check_budget("--memory-mb", budget)
    prices = options.prices
    check_extra("torchmetrics", "density", "density")
    # Imported now, since torch takes seconds: --help and wrong options are answered without it.
    with importing():
        import torch

        from seit_cl.core.csv_text import csv_text
        from seit_cl.data.decoding import limit_pixels
        from seit_cl.data.images import resolution_note
        from seit_cl.experiment.density import build_formats, open_material
        from seit_cl.experiment.density_examples import check_shown, encode_examples
        from seit_cl.experiment.density_measures import measure
        from seit_cl.reporting import density as page
        from seit_cl.reporting.density_cost import cost_markdown, cost_table
        from seit_cl.reporting.tables import markdown_text
        from seit_cl.tokenizers._picture import save_png

    console = Console(soft_wrap=True)
    make_writable_folder(options.out, "--out")
    limit_pixels(options.max_pixels)
    check_shown(options.show, "--show")
    material = open_material(
        options.data_root,
        options.images,
        options.resolution,
        options.tokenizer,
        options.skip_bad_images,
    )
    if material.has_images and not options.resolution:
        console.print(resolution_note(material.side), highlight=False)
    formats = build_formats(options.chosen_formats(material.has_images), material.context)
    torch.set_num_threads(1)  # speeds are those of one core
    with torch.inference_mode():
        table = measure(formats, material, console)
        examples = None
        if material.has_images:
            examples = encode_examples(options.show, formats, material)
    count = len(material.source)
    name = markdown_text(location_name(options.data_root))
    title = f"{count:,} images of {name} at {material.side} px"
    markdown = page.markdown(table, options.memory_mb, title)
    if prices is not None:
        markdown += f"\n{cost_markdown(table, prices)}\n"
        write_atomic(options.out / "cost.csv", csv_text(cost_table(table, prices)))
    write_atomic(options.out / "density.csv", csv_text(table))
    write_atomic(options.out / "density.md", markdown)
    save_png(page.figure(table), options.out / "bytes.png")
    if examples is not None:
        save_png(page.picture(examples), options.out / "images.png")
    console.print(markdown, markup=False, highlight=False)
    pictures = "bytes.png" if examples is None else "bytes.png and images.png"
    files = f"results: {options.out / 'density.md'}; beside it density.csv, {pictures}"
    console.print(files, markup=False, highlight=False)


if __name__ == "__main__":
    run_command(main)
