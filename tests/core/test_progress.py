"""Progress bars: what they count, and silence where the console is no terminal."""

import io

from rich.console import Console

from seit_cl.core.progress import ImageBar, images_bar, progress_bars, track


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_bar_counts_images() -> None:
    console = terminal()
    with images_bar("encoding", 2000, console) as advance:
        advance(500)
        advance(700)
    assert "encoding: 1,200 of 2,000 images" in text(console)


def test_a_bar_of_an_unknown_number_counts_too() -> None:
    console = terminal()
    with progress_bars(console) as bars:
        bar = ImageBar(bars, "reading", None)
        bar.advance(3)
        assert bar.done == 3
    assert "reading: 3 images" in text(console)


def test_nothing_is_drawn_where_nobody_watches() -> None:
    console = Console(file=io.StringIO())
    with images_bar("encoding", 10, console) as advance:
        advance(10)
    assert list(track([1, 2], "measuring", console)) == [1, 2]
    assert text(console).strip() == ""
