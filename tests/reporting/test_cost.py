"""The cost of storing a stream."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.reports import make_report
from helpers.synthetic_runs import write_run
from seit_cl import report
from seit_cl.core.errors import UserError
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
from seit_cl.reporting.phases import core_seconds, phases
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


def test_with_prices_there_are_a_figure_and_a_table_of_measured_bytes(tmp_path, capsys):
    for memory in (100_000, 500_000):
        for spec in ("tokens", "jpeg:quality=75,size=64"):
            write_run(tmp_path, spec=spec, memory=memory, codec_bytes=0)
    report.main([str(tmp_path), *OPTIONS])
    assert (tmp_path / "figures" / "cost.svg").is_file()
    table = (tmp_path / "tables" / "storage_cost.md").read_text()
    assert "| tokens | 325 | 0.1187 | – |" in table  # 365,250 images of 325 bytes
    report.main([str(tmp_path)])
    assert not (tmp_path / "figures" / "cost.svg").exists()


def test_a_cost_that_no_run_timed_is_marked_as_unknown(tmp_path):
    timed = {"remember": {"seconds": 4.0, "images": 1000, "cores": 1}}
    write_run(tmp_path, spec="raw", memory=100_000, phases=timed)
    write_run(tmp_path, memory=100_000, phases=timed)  # its tokens came from a cache
    figure = make_report("cost", read_runs(tmp_path), Prices(0.02, 1000, 12, per_core_hour=0.1))
    texts = {text.get_text() for text in figure.axes[1].texts}
    assert "encoding not timed" in texts
    assert len(texts) == 2


def test_prices_come_together(tmp_path):
    write_run(tmp_path)
    with pytest.raises(UserError, match="--images-per-day and --retention-months missing"):
        report.main([str(tmp_path), *OPTIONS[:2]])


def test_tokens_are_tokenized_before_they_are_stored(tmp_path):
    recorded = {
        "tokenize": {"seconds": 10.0, "images": 1000, "cores": 2},
        "remember": {"seconds": 4.0, "images": 1000, "cores": 1},
    }
    write_run(tmp_path, phases=recorded)
    runs = read_runs(tmp_path)
    assert phases(runs[0])["tokenize"].seconds == 10
    assert core_seconds(runs, tokenized=True) == pytest.approx(0.024)
    assert core_seconds(runs, tokenized=False) == pytest.approx(0.004)


def test_older_results_have_the_time_of_training_alone(tmp_path):
    write_run(tmp_path)
    (run,) = read_runs(tmp_path)
    assert phases(run) == {}
    assert math.isnan(core_seconds([run], tokenized=False))
    run.config |= {"batch": 32, "replay_batch": 32}
    assert phases(run)["train"].images == 500 * 64
