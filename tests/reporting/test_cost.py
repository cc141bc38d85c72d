"""The cost of storing a stream."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.reports import density_table
from helpers.synthetic_runs import write_run
from seit_cl import report
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.reporting.base import ReportContext
from seit_cl.reporting.cost import (
    DAYS,
    Prices,
    Storage,
    encoding_a_month,
    gigabytes,
    month_when_full,
    spent,
    stored_images,
)
from seit_cl.reporting.phases import phases
from seit_cl.reporting.storage import priced_formats, read_density
from seit_cl.results.run_files import read_runs

PRICES = Prices(per_gb_month=0.02, images_per_day=1000, retention_months=12)
OPTIONS = ["--cost-per-gb-month", "0.02", "--images-per-day", "1000", "--retention-months", "12"]
positive = st.floats(0.1, 1000)


def test_a_full_store_holds_the_retention_and_grows_no_more():
    assert stored_images(PRICES, 6) == pytest.approx(1000 * DAYS * 6)
    assert stored_images(PRICES, 12) == stored_images(PRICES, 40) == pytest.approx(365_250)


def test_the_codec_is_stored_once():
    storage = Storage(bytes_each=1000, codec_bytes=900_000)
    assert gigabytes(storage, PRICES, 12) == pytest.approx((365_250 * 1000 + 900_000) / 1e9)
    assert month_when_full(storage, PRICES) == pytest.approx(0.36615 * 0.02)


def test_what_is_spent_while_the_store_fills_is_half_of_what_it_is_when_full():
    storage = Storage(bytes_each=1000, codec_bytes=0)
    full = month_when_full(storage, PRICES)
    assert spent(storage, PRICES, 12) == pytest.approx(6 * full)
    assert spent(storage, PRICES, 24) == pytest.approx(18 * full)


def test_encoding_is_priced_by_the_core_hour_and_unknown_where_it_was_not_measured():
    prices = Prices(0.0, 3600, 1, per_core_hour=2.0)
    assert encoding_a_month(Storage(1, 0, core_seconds=0.5), prices) == pytest.approx(DAYS)
    assert math.isnan(month_when_full(Storage(1, 0), prices))
    assert encoding_a_month(Storage(1, 0), PRICES) == 0


@given(positive, positive, positive, positive)
def test_what_is_spent_grows_by_what_a_month_costs_once_the_store_is_full(
    price, images, retention, size
):
    prices = Prices(price, images, retention, per_core_hour=1.0)
    storage = Storage(size, 1000 * size, core_seconds=0.01)
    month = spent(storage, prices, retention + 3) - spent(storage, prices, retention + 2)
    assert month == pytest.approx(month_when_full(storage, prices), rel=1e-6)


@pytest.mark.parametrize(
    "values", [(-1, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, math.inf), (math.nan, 1, 1)]
)
def test_prices_that_cannot_be_are_refused(values):
    with pytest.raises(UserError, match="--"):
        Prices(*values)


def test_without_prices_the_report_has_no_costs(tmp_path, capsys):
    write_run(tmp_path)
    report.main([str(tmp_path)])
    assert not list(tmp_path.glob("*/cost*"))
    assert not list(tmp_path.glob("*/storage_cost*"))
    assert "storing" not in (tmp_path / "report.html").read_text()


def test_with_prices_there_are_a_figure_and_a_table_of_densities(tmp_path, capsys):
    runs = tmp_path / "runs"
    for memory in (100_000, 500_000):
        for strategy in ("er", "derpp"):
            # The bytes of few exemplars that fitted are not those of the stream.
            values = {"strategy": strategy, "memory": memory, "bytes_per_exemplar": 99.0}
            write_run(runs, spec="tokens", **values)
    (tmp_path / "density").mkdir()
    density_table().to_csv(tmp_path / "density/density.csv", index=False)
    report.main([str(runs), *OPTIONS, "--density", str(tmp_path / "density")])
    assert (runs / "figures" / "cost.svg").is_file()
    rows = (runs / "tables" / "storage_cost.md").read_text().splitlines()
    of_tokens = [row for row in rows if "| tokens | 325 | 0.1187 |" in row]  # 365,250 images
    assert len(of_tokens) == 2
    assert of_tokens[0].split("|")[3:11] == of_tokens[1].split("|")[3:11]  # whatever the strategy
    assert all("| 17.0 | 0.300 | 100% |" in row for row in of_tokens)
    (kept, *_) = [row for row in rows if "| the original files | 2,000 | 0.7305 | 0 |" in row]
    assert "| exact | 1.000 | 100% | – | – |" in kept
    assert any("| png:size=64 | 9,000 |" in row for row in rows)  # without a run
    report.main([str(runs)])
    assert not (runs / "figures" / "cost.svg").exists()


def test_a_cost_whose_speed_is_not_known_is_marked(tmp_path):
    write_run(tmp_path, memory=100_000)
    density = density_table()
    density.loc[density["format"] == "tokens", ["codec_bytes", "tokenize_per_second"]] = 9, math.nan
    prices = Prices(0.02, 1000, 12, per_core_hour=0.1)
    figure = plugins.build("report", "cost", ReportContext(prices, density)).make(
        read_runs(tmp_path)
    )
    texts = [text.get_text() for text in figure.axes[1].texts]
    assert texts.count("encoding not measured") == 1
    assert len(texts) == 5


def test_tokens_are_tokenized_before_they_are_stored():
    density = density_table()
    density.loc[density["format"] == "tokens", "codec_bytes"] = 1_700_000
    storage, _ = priced_formats(density)["tokens"]
    assert storage.core_seconds == pytest.approx(1 / 100_000 + 1 / 50)
    storage, _ = priced_formats(density)["raw"]
    assert storage.core_seconds == pytest.approx(1 / 90_000)
    density.loc[density["format"] == "raw", ["codec_bytes", "tokenize_per_second"]] = 9, math.nan
    storage, _ = priced_formats(density)["raw"]  # a codec of pixels, such as learned, needs none
    assert storage.core_seconds == pytest.approx(1 / 90_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (OPTIONS[:2], "--images-per-day and --retention-months missing"),
        (OPTIONS, "--density and prices go together"),
        (["--density", "x"], "--density and prices go together"),
        ([*OPTIONS, "--density", "/nowhere"], "no table of densities"),
    ],
)
def test_prices_and_densities_come_together(tmp_path, options, message):
    write_run(tmp_path)
    with pytest.raises(UserError, match=message):
        report.main([str(tmp_path), *options])


@pytest.mark.parametrize("damage", ["format,payload\nraw,1\n", "\x00", "bytes_each\nmany\n"])
def test_a_damaged_table_of_densities_is_named(tmp_path, damage):
    file = tmp_path / "density.csv"
    file.write_text(damage)
    with pytest.raises(UserError, match="no table of densities"):
        read_density(file)
    density_table().assign(bytes_each=-1.0).to_csv(file, index=False)
    with pytest.raises(UserError, match="negative"):
        read_density(tmp_path)


def test_older_results_have_the_time_of_training_alone(tmp_path):
    write_run(tmp_path)
    (run,) = read_runs(tmp_path)
    assert phases(run) == {}
    run.config |= {"batch": 32, "replay_batch": 32}
    assert phases(run)["train"].images == 500 * 64
