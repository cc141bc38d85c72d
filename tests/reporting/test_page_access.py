"""report.html by keyboard alone, and on paper."""

import base64

import pytest

from helpers.browser import Page

PAPER_WIDTH = 718  # CSS pixels of A4 without the margins
PAPER_HEIGHT = 1047
FOCUSED = """
const node = document.activeElement;
if (node === document.body) return null;
const box = node.getBoundingClientRect();
const style = getComputedStyle(node);
const ring = node.querySelector(':scope > circle.ring');
const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
const ringed = ring && getComputedStyle(ring).stroke !== 'none';
const words = node.getAttribute('aria-label') || node.textContent.trim() || node.name || node.id;
return {
  place: [...document.querySelectorAll('*')].indexOf(node),
  words: words.slice(0, 60),
  shown: Boolean((outlined || ringed) && box.width && box.top < innerHeight && box.bottom > 0),
};
"""
STOPS = """
const stops = 'a[href], button, input, select, summary, [tabindex="0"]';
const all = [...document.querySelectorAll('*')];
const shown = [...document.querySelectorAll(stops)].filter((each) => each.checkVisibility());
return shown.map((each) => all.indexOf(each));
"""
UNREACHABLE_SCROLLERS = """
const result = [];
for (const node of document.querySelectorAll('body *')) {
  const style = getComputedStyle(node);
  const across = /auto|scroll/.test(style.overflowX) && node.scrollWidth > node.clientWidth + 1;
  const down = /auto|scroll/.test(style.overflowY) && node.scrollHeight > node.clientHeight + 1;
  if (!node.checkVisibility() || !(across || down)) continue;
  const named = node.hasAttribute('aria-label') || node.hasAttribute('aria-labelledby');
  const region = node.tabIndex === 0 && node.getAttribute('role') === 'region' && named;
  if (!region && !node.querySelector('a, input, button')) result.push(node.outerHTML.slice(0, 90));
}
return result;
"""
BEYOND_THE_PAPER = """
const [width, height] = arguments;
const result = [];
for (const node of document.querySelectorAll('main *')) {
  if (!node.checkVisibility() || node.closest('.sr, #tip')) continue;
  const box = node.getBoundingClientRect();
  const tall = node.tagName === 'IMG' && box.height > height;
  if (box.right > width + 1 || tall) result.push(node.outerHTML.slice(0, 90));
}
return result;
"""
CUT = """
const result = [];
for (const node of document.querySelectorAll('main *')) {
  if (!node.checkVisibility() || node.closest('.sr')) continue;
  const style = getComputedStyle(node);
  const clips = style.overflowX !== 'visible' || style.overflowY !== 'visible';
  const more = node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1;
  if (clips && more) result.push(node.outerHTML.slice(0, 90));
}
return result;
"""
WIDTHS = "return [...document.images].map((each) => each.getBoundingClientRect().width)"


def press(page: Page, key: str) -> None:
    """Press a key and let it go."""
    code = {"Tab": 9, "ArrowRight": 39}[key]
    for kind in ("rawKeyDown", "keyUp"):
        page.command(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_tab_reaches_everything_in_order_and_shows_where_it_is(chromium, folder, scheme):
    chromium.open(folder / "report.html", 1440, scheme)
    expected = chromium.run(STOPS)
    visited = []
    hidden = []
    for _ in range(len(expected) + 5):
        press(chromium, "Tab")
        focused = chromium.run(FOCUSED)
        if focused is None:
            break
        visited.append(focused["place"])
        if not focused["shown"]:
            hidden.append(focused["words"])
    assert visited == expected
    assert hidden == []


def test_the_first_stop_skips_to_the_answer(page):
    press(page, "Tab")
    assert page.run(FOCUSED)["words"] == "To the answer"


def test_marks_of_a_chart_are_reached_by_tab_and_arrow_keys(page):
    page.run("document.querySelector('#metric').focus()")
    for _ in range(10):
        press(page, "Tab")
        first = page.run(FOCUSED)["words"]
        if " MB: " in first:
            break
    assert first.startswith("tokens, 0.1 MB: ")
    press(page, "ArrowRight")
    assert page.run(FOCUSED)["words"].startswith("tokens, 0.5 MB: ")


@pytest.mark.parametrize("width", [390, 1440])
def test_what_scrolls_is_a_named_stop_or_has_one_inside(chromium, folder, width):
    chromium.open(folder / "report.html", width)
    chromium.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert chromium.run(UNREACHABLE_SCROLLERS) == []


def test_on_paper_nothing_is_cut_or_dark(chromium, folder):
    chromium.open(folder / "report.html", PAPER_WIDTH, "dark")
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    chromium.command("Emulation.setEmulatedMedia", media="print", features=[dark])
    try:
        assert chromium.run(BEYOND_THE_PAPER, PAPER_WIDTH, PAPER_HEIGHT) == []
        assert chromium.run(CUT) == []
        assert min(chromium.run(WIDTHS)) > 0.4 * PAPER_WIDTH
        ground = chromium.run("return getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(255, 255, 255)"
    finally:
        chromium.command("Emulation.setEmulatedMedia", media="", features=[])


def test_it_prints_to_a4(page):
    pdf = page.command("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"]
    assert base64.b64decode(pdf).startswith(b"%PDF")
