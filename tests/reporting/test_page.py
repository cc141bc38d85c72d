"""report.html in a real Chromium."""

import base64
import re
from itertools import pairwise
from pathlib import Path

import pytest

from helpers.browser import Page, browser
from helpers.synthetic_runs import write_grid, write_run
from seit_cl.report import build_report
from seit_cl.reporting.loading import load_summary
from seit_cl.reporting.summary import summary_table

EVIL = "</script><img src=x onerror=window.evil=1>"
ROWS = "return [...document.querySelectorAll('#summary tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
OVERFLOWING = """
const wide = document.documentElement.clientWidth, found = [];
if (document.documentElement.scrollWidth > wide) found.push('the document');
for (const node of document.querySelectorAll('body *')) {
  if (node.closest('.sr, .skip, #tip, [hidden]') || getComputedStyle(node).position === 'fixed') continue;
  let scrolls = false;
  for (let up = node.parentElement; up; up = up.parentElement) scrolls ||= /auto|scroll/.test(getComputedStyle(up).overflowX);
  const box = node.getBoundingClientRect();
  if (!scrolls && box.width && (box.right > wide + 1 || box.left < -1)) found.push(node.outerHTML.slice(0, 120));
}
return found;
"""
CONTRAST = """
const light = (text) => {
  const [r, g, b] = text.match(/[\\d.]+/g).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const shown = (node) => {
  for (let up = node; up; up = up.parentElement) {
    const colour = getComputedStyle(up).backgroundColor;
    if (colour !== 'rgba(0, 0, 0, 0)') return colour;
  }
};
return arguments[0].map((name) => {
  const node = document.querySelector(name), style = getComputedStyle(node);
  const pair = [light(node.ownerSVGElement ? style.fill : style.color), light(shown(node))].sort((a, b) => b - a);
  return [name, (pair[0] + 0.05) / (pair[1] + 0.05)];
});
"""


@pytest.fixture(scope="module")
def chromium():
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("page")
    write_grid(out)
    write_run(out, strategy="er_ace", memory=100_000)
    write_run(out, seed=7, finish=False)
    write_run(out, seed=8, device=EVIL)
    (out / "broken").mkdir()
    (out / "broken" / "config.yaml").write_text(f"strategy: '{EVIL}'\na: [1, 2")
    build_report(out)
    return out


@pytest.fixture
def page(chromium, folder) -> Page:
    chromium.open(folder / "report.html")
    return chromium


def tick(page: Page, facet: str, value: str, on: bool = True) -> None:
    """Clicks a filter's box unless it is as wanted already."""
    box = page.driver.find_element("css selector", f'input[name="{facet}"][value="{value}"]')
    if box.is_selected() != on:
        box.click()


def lines(page: Page, chart: str) -> int:
    return len(page.driver.find_elements("css selector", f"#{chart} svg .mark"))


def test_it_loads_without_errors_and_asks_for_nothing_else(page, folder):
    assert page.complaints() == []
    assert [url for url in page.requests() if not url.startswith(("data:", "blob:"))] == [
        (folder / "report.html").as_uri()
    ]
    assert (folder / "report.html").stat().st_size < 5_000_000
    assert page.run(
        "return [document.documentElement.lang, document.title.length > 10, window.evil]"
    ) == ["en", True, None]


def test_the_script_draws_the_same_table_as_the_page_was_made_with(page, folder):
    _, rows = summary_table(load_summary(folder))
    assert page.run(ROWS) == rows


def test_the_answer_and_unfinished_runs_stand_on_top(page):
    text = page.run("return document.querySelector('#answer').innerText")
    assert re.search(
        r"At 0\.5 MB.*, tokens store [\d.]+ x as many exemplars as jpeg:quality=75,size=64; ", text
    )
    assert "1 not finished" in text and "1 failed" in text and "config.yaml" in text


def test_a_link_to_an_unfinished_run_opens_it(page):
    page.driver.find_element("css selector", ".problems a").click()
    assert (
        page.run("return [...document.querySelectorAll('details.run')].filter(d => d.open).length")
        == 1
    )


def test_filters_change_table_charts_and_runs(page):
    before = page.run(ROWS), lines(page, "memory-chart"), lines(page, "time-chart")
    tick(page, "format", "jpeg:quality=75,size=64", on=False)
    rows = page.run(ROWS)
    assert (
        rows
        and len(rows) < len(before[0])
        and not any("jpeg:quality=75,size=64" in row for row in rows)
    )
    assert 0 < lines(page, "memory-chart") < before[1] and 0 < lines(page, "time-chart") < before[2]
    assert not any(
        "jpeg" in name
        for name in page.run("return document.querySelector('#legend').innerText").splitlines()
    )
    tick(page, "memory_bytes", "100000", on=False)
    assert not any("0.1" in row for row in page.run(ROWS))
    runs = page.run(
        "return [...document.querySelectorAll('details.run')].filter(d => !d.hidden).map(d => d.innerText)"
    )
    assert runs and not any("jpeg" in name or "-100000-" in name for name in runs)
    page.driver.find_element(
        "css selector", 'fieldset[data-facet="memory_bytes"] button[data-all=""]'
    ).click()
    assert page.run(ROWS) == [] and page.complaints() == []
    page.driver.find_element("css selector", "#filters button[data-reset]").click()
    assert page.run(ROWS) == before[0]


def test_a_seed_alone_has_no_deviation(page):
    tick(page, "seed", "1", on=False)
    tick(page, "seed", "8", on=False)
    cells = [cell for row in page.run(ROWS) for cell in row]
    assert cells and not any("±" in cell for cell in cells)


def test_the_table_sorts_by_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    heading = page.driver.find_elements("css selector", "#summary th")[-3]
    assert heading.text.startswith("final %") and heading.get_attribute("aria-sort") == "none"
    for key, state in ((Keys.ENTER, "ascending"), (Keys.SPACE, "descending")):
        heading.find_element("css selector", "button").send_keys(key)
        values = [float(row[-3].split(" ")[0]) for row in page.run(ROWS)]
        assert values == sorted(values, reverse=state == "descending") and len(set(values)) > 1
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
    assert "after 1 experience:" in shown and "after 2 experiences:" in tip.text
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()


@pytest.mark.parametrize("width", [360, 1024, 1920])
def test_nothing_overflows(chromium, folder, width):
    chromium.open(folder / "report.html", width)
    chromium.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert chromium.run(OVERFLOWING) == []


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
    links = page.run(
        "return [...document.querySelectorAll('#tables .downloads a')].map(a => [a.download, a.href])"
    )
    files = {name: base64.b64decode(href.partition("base64,")[2]) for name, href in links}
    assert files and files == {
        path.name: path.read_bytes() for path in (folder / "tables").iterdir()
    }


def test_every_figure_can_be_downloaded_in_both_kinds(page, folder):
    from selenium.webdriver.support.ui import WebDriverWait

    count = len(list((folder / "figures").glob("*.svg")))
    links = "[...document.querySelectorAll('#figures .downloads a')]"
    ready = f"return {links}.filter(a => /^(blob|data):/.test(a.href) && !a.hidden)"
    WebDriverWait(page.driver, 10).until(
        lambda _: len(page.run(f"{ready}.filter(a => !a.download.endsWith('z'))")) == 2 * count
    )
    names = page.run(f"{ready}.map(a => a.download)")
    assert sorted(names) == sorted(
        path.name for path in (folder / "figures").iterdir() if path.suffix != ".md"
    )
    assert page.run(
        "return [...document.images].every(i => i.complete && i.naturalWidth > 100 && i.alt.length > 10)"
    )


def test_it_can_be_walked_by_landmarks_headings_and_labels(page):
    levels = page.run(
        "return [...document.querySelectorAll('h1,h2,h3,h4')].filter(h => h.offsetParent).map(h => +h.tagName[1])"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert page.run(
        "return ['header', 'nav', 'main'].every(n => document.querySelectorAll(n).length === 1)"
    )
    inputs = "[...document.querySelectorAll('input,select')]"
    assert page.run(
        f"return {inputs}.every(i => i.labels.length && i.labels[0].textContent.trim())"
    )
    assert page.run("return [...document.querySelectorAll('table')].every(t => t.caption)")
    assert (
        page.run("return document.querySelectorAll('#memory-chart .mark[tabindex=\"0\"]').length")
        == 2
    )  # one stop a panel


def test_a_page_without_finished_runs_loads_too(chromium, tmp_path):
    write_run(tmp_path, finish=False)
    chromium.open(build_report(tmp_path))
    assert chromium.complaints() == []
    assert "No run has finished yet" in chromium.run("return document.body.innerText")
