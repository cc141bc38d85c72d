"""report.html in a real Chromium."""

import base64
import re
from itertools import pairwise

import pytest

from helpers.browser import Page
from helpers.synthetic_runs import write_run
from seit_cl.reporting.build import build_report
from seit_cl.reporting.loading import load_summary
from seit_cl.reporting.summary import summary_table

ROWS = """
const rows = [...document.querySelectorAll('#summary tbody tr')];
return rows.map((row) => [...row.cells].map((cell) => cell.textContent));
"""
SHOWN_RUNS = """
const runs = [...document.querySelectorAll('details.run')];
return runs.filter((run) => !run.hidden).map((run) => run.innerText);
"""
OPEN_RUNS = """
const runs = [...document.querySelectorAll('details.run')];
return runs.filter((run) => run.open).length;
"""
OVERFLOWING = """
const width = document.documentElement.clientWidth;
const result = [];
if (document.documentElement.scrollWidth > width) result.push('the document');
for (const node of document.querySelectorAll('body *')) {
  if (node.closest('.sr, .skip, #tip, [hidden]')) continue;
  if (getComputedStyle(node).position === 'fixed') continue;
  let scrolls = false;
  for (let up = node.parentElement; up; up = up.parentElement) {
    scrolls ||= /auto|scroll/.test(getComputedStyle(up).overflowX);
  }
  const box = node.getBoundingClientRect();
  const outside = box.width && (box.right > width + 1 || box.left < -1);
  if (outside && !scrolls) result.push(node.outerHTML.slice(0, 120));
}
return result;
"""
CONTRAST = """
const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const luminance = (text) => {
  const [r, g, b] = text.match(/[\\d.]+/g).map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const background = (node) => {
  for (let up = node; up; up = up.parentElement) {
    const colour = getComputedStyle(up).backgroundColor;
    if (colour !== 'rgba(0, 0, 0, 0)') return colour;
  }
};
return arguments[0].map((name) => {
  const node = document.querySelector(name);
  const style = getComputedStyle(node);
  const text = luminance(node.ownerSVGElement ? style.fill : style.color);
  const behind = luminance(background(node));
  const [dark, light] = [text, behind].sort((a, b) => a - b);
  return [name, (light + 0.05) / (dark + 0.05)];
});
"""
TABLE_LINKS = """
const links = [...document.querySelectorAll('#tables .downloads a')];
return links.map((link) => [link.download, link.href]);
"""
FIGURE_LINKS = """
const links = [...document.querySelectorAll('#figures .downloads a')];
const ready = links.filter((link) => /^(blob|data):/.test(link.href) && !link.hidden);
return ready.map((link) => link.download);
"""
IMAGES_LOADED = """
const loaded = (image) => image.complete && image.naturalWidth > 100 && image.alt.length > 10;
return [...document.images].every(loaded);
"""
HEADING_LEVELS = """
const headings = [...document.querySelectorAll('h1,h2,h3,h4')];
return headings.filter((each) => each.offsetParent).map((each) => +each.tagName[1]);
"""
ONE_OF_EACH_LANDMARK = """
const count = (name) => document.querySelectorAll(name).length;
return ['header', 'nav', 'main'].every((name) => count(name) === 1);
"""
ALL_INPUTS_LABELLED = """
const labelled = (each) => each.labels.length && each.labels[0].textContent.trim();
return [...document.querySelectorAll('input,select')].every(labelled);
"""
TABLE_BEYOND_ITS_BOX = """
const box = document.querySelector('#summary').parentElement;
return box.scrollWidth - box.clientWidth;
"""
CAPTIONS = """
const spans = [...document.querySelectorAll('caption span')];
const boxes = spans.map((each) => each.getBoundingClientRect());
return boxes.map((box) => [box.left, box.right]);
"""
PICTURES = """
const natural = (image) => parseFloat(image.style.getPropertyValue('--natural'));
return [...document.images].map((image) => [image.getBoundingClientRect().width, natural(image)]);
"""
TAB_STOPS = "return document.querySelectorAll('#memory-chart .mark[tabindex=\"0\"]').length"


def tick(page: Page, facet: str, value: str, on: bool = True) -> None:
    """Check a filter's box, or clear it."""
    box = page.driver.find_element("css selector", f'input[name="{facet}"][value="{value}"]')
    if box.is_selected() != on:
        box.click()


def marks(page: Page, chart: str) -> int:
    """The number of marks in a chart."""
    return len(page.driver.find_elements("css selector", f"#{chart} svg .mark"))


def test_it_loads_without_errors_and_requests_nothing_else(page, folder):
    path = folder / "report.html"
    assert page.complaints() == []
    urls = [url for url in page.requests() if not url.startswith(("data:", "blob:"))]
    assert urls == [path.as_uri()]
    assert path.stat().st_size < 5_000_000
    assert page.run("return document.documentElement.lang") == "en"
    assert len(page.run("return document.title")) > 10
    assert page.run("return window.evil") is None


def test_the_script_draws_the_table_that_the_page_was_made_with(page, folder):
    _, rows = summary_table(load_summary(folder))
    assert page.run(ROWS) == rows


def test_the_answer_and_unfinished_runs_are_at_the_top(page):
    text = page.run("return document.querySelector('#answer').innerText")
    sentence = r"At 0\.5 MB.*, tokens store [\d.]+ x as many exemplars as jpeg:quality=75,size=64; "
    assert re.search(sentence, text)
    assert "1 not finished" in text
    assert "1 failed" in text
    assert "config.yaml" in text


def test_a_link_to_an_unfinished_run_opens_it(page):
    page.driver.find_element("css selector", ".problems a").click()
    assert page.run(OPEN_RUNS) == 1


def test_filters_change_table_charts_and_runs(page):
    all_rows = page.run(ROWS)
    all_marks = marks(page, "memory-chart")
    all_time_marks = marks(page, "time-chart")
    tick(page, "format", "jpeg:quality=75,size=64", on=False)
    rows = page.run(ROWS)
    assert 0 < len(rows) < len(all_rows)
    assert not any("jpeg:quality=75,size=64" in row for row in rows)
    assert 0 < marks(page, "memory-chart") < all_marks
    assert 0 < marks(page, "time-chart") < all_time_marks
    assert "jpeg" not in page.run("return document.querySelector('#legend').innerText")
    tick(page, "memory_bytes", "100000", on=False)
    assert not any("0.1" in row for row in page.run(ROWS))
    names = page.run(SHOWN_RUNS)
    assert names
    assert not any("jpeg" in name or "-100000-" in name for name in names)
    none = 'fieldset[data-facet="memory_bytes"] button[data-all=""]'
    page.driver.find_element("css selector", none).click()
    assert page.run(ROWS) == []
    assert page.complaints() == []
    page.driver.find_element("css selector", "#filters button[data-reset]").click()
    assert page.run(ROWS) == all_rows


def test_a_seed_alone_has_no_deviation(page):
    tick(page, "seed", "1", on=False)
    tick(page, "seed", "8", on=False)
    text = "\n".join(map(" ".join, page.run(ROWS)))
    assert text
    assert "±" not in text


def test_the_table_sorts_by_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    heading = page.driver.find_elements("css selector", "#summary th")[-6]
    assert heading.text.startswith("final %")
    assert heading.get_attribute("aria-sort") == "none"
    for key, state in ((Keys.ENTER, "ascending"), (Keys.SPACE, "descending")):
        heading.find_element("css selector", "button").send_keys(key)
        values = [float(row[-6].split(" ")[0]) for row in page.run(ROWS)]
        assert values == sorted(values, reverse=state == "descending")
        assert len(set(values)) > 1
        assert heading.get_attribute("aria-sort") == state


def test_hover_and_focus_show_values(page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    tip = page.driver.find_element("css selector", "#tip")
    mark = page.driver.find_element(
        "css selector", '#memory-chart .mark[aria-label^="tokens, 0.1 MB"]'
    )
    page.run("arguments[0].scrollIntoView({block: 'center'})", mark)
    ActionChains(page.driver).move_to_element(mark).perform()
    assert re.fullmatch(r"tokens, 0\.1 MB: \d+\.\d ± \d+\.\d %, \d seeds, 307 exemplars", tip.text)
    ActionChains(page.driver).move_to_element(
        page.driver.find_element("css selector", "h1")
    ).perform()
    assert not tip.is_displayed()
    first = page.driver.find_element("css selector", '#time-chart .mark[tabindex="0"]')
    page.run("arguments[0].focus()", first)
    shown = tip.text
    first.send_keys(Keys.ARROW_RIGHT)
    assert "after 1 experience:" in shown
    assert "after 2 experiences:" in tip.text
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()


@pytest.mark.parametrize("width", [360, 1024, 1920])
def test_nothing_overflows(chromium, folder, width):
    chromium.open(folder / "report.html", width)
    chromium.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert chromium.run(OVERFLOWING) == []


@pytest.mark.parametrize("width", [390, 1440])
def test_the_main_table_is_whole_and_captions_are_not_cut(chromium, folder, width):
    chromium.open(folder / "report.html", width)
    assert chromium.run(TABLE_BEYOND_ITS_BOX) <= 0
    for left, right in chromium.run(CAPTIONS):
        assert left >= 0
        assert right <= width


def test_pictures_keep_the_size_of_their_text_on_narrow_screens(chromium, folder):
    chromium.open(folder / "report.html", 390)
    for shown, natural in chromium.run(PICTURES):
        assert shown >= 0.84 * natural


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(chromium, folder, scheme):
    chromium.open(folder / "report.html", scheme=scheme)
    names = [
        "body",
        "a[href]",
        ".answer",
        ".small",
        ".bad",
        "caption",
        "#summary th button",
        "td",
        "legend",
        "pre",
    ]
    ratios = dict(chromium.run(CONTRAST, [*names, ".panel text"]))
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}
    background = chromium.run("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_every_table_can_be_downloaded_as_the_files_that_were_written(page, folder):
    files = {}
    for name, href in page.run(TABLE_LINKS):
        files[name] = base64.b64decode(href.partition("base64,")[2])
    written = {path.name: path.read_bytes() for path in (folder / "tables").iterdir()}
    assert files == written != {}


def test_every_figure_can_be_downloaded_as_png_and_svg(page, folder):
    from selenium.webdriver.support.ui import WebDriverWait

    written = sorted(path.name for path in (folder / "figures").iterdir())
    # the script unpacks compressed SVG files, which changes their names, after the page is loaded
    WebDriverWait(page.driver, 10).until(lambda _: sorted(page.run(FIGURE_LINKS)) == written)
    assert page.run(IMAGES_LOADED)


def test_it_can_be_navigated_by_landmarks_headings_and_labels(page):
    levels = page.run(HEADING_LEVELS)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert page.run(ONE_OF_EACH_LANDMARK)
    assert page.run(ALL_INPUTS_LABELLED)
    assert page.run("return [...document.querySelectorAll('table')].every(t => t.caption)")
    assert page.run(TAB_STOPS) == 2  # one for each panel


def test_a_page_without_finished_runs_loads_too(chromium, tmp_path):
    write_run(tmp_path, finish=False)
    chromium.open(build_report(tmp_path))
    assert chromium.complaints() == []
    assert "No run has finished yet" in chromium.run("return document.body.innerText")
