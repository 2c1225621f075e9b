"""What the bench keeps, and what it says to other programs."""

from alerts.notifiers.pagerduty import PagerDuty
from alerts.testing.pagerduty import ROUTING_KEY
from benchmarks.__main__ import tried
from benchmarks.figures import FailedError, Figure, keep
from benchmarks.latency import Pager
from tests.alerts.notices import NOTICE, T0, resolved

RATE = Figure("stage 1", 600_000, "records/s", 0.61, "limit (wall)", "at least 0.6")
LATENCY = Figure("p50 of 240 pages", 83.2, "ms", aim="at most 250 ms")


def test_a_run_replaces_the_sections_that_it_measured_and_no_others(tmp_path):
    where = tmp_path / "RESULTS.md"
    keep({"rates": ("Rates", [RATE]), "latency": ("Latency", [LATENCY])}, "Mon", where)
    keep({"latency": ("Latency", [LATENCY])}, "Tue", where)
    text = where.read_text()
    assert text.count("\n## ") == 2
    assert text.count("Mon.") == text.count("Tue.") == 1
    assert text.index("Mon.") < text.index("## Latency") < text.index("Tue.")
    rate = "| stage 1 | 600,000 records/s | 0.61 of limit (wall) | at least 0.6 |"
    assert rate in text


def test_another_number_of_runs_takes_the_place_of_the_last(tmp_path):
    where = tmp_path / "RESULTS.md"
    for runs, day in ((3, "Mon"), (7, "Tue")):
        keep({"rates": (f"Rates: medians of {runs} runs", [RATE])}, day, where)
    text = where.read_text()
    assert text.count("\n## ") == text.count("## Rates: medians of 7 runs") == 1
    assert "Mon." not in text


def test_the_same_figures_give_the_same_file(tmp_path):
    where = tmp_path / "RESULTS.md"
    found = {"rates": ("Rates", [RATE]), "latency": ("Latency", [LATENCY])}
    keep(found, "Mon", where)
    first = where.read_text()
    keep(found, "Mon", where)
    assert where.read_text() == first


def test_other_programs_read_five_fields():
    assert RATE.public() == {
        "name": "stage 1",
        "value": 600_000,
        "unit": "records/s",
        "ratio": 0.61,
        "ratio_to": "limit (wall)",
    }


def test_what_a_section_has_measured_is_told_though_its_next_row_fails():
    def measure():
        raise FailedError("PostgreSQL: nobody was paged", [LATENCY])

    failed: list[str] = []
    assert tried("latency", measure, failed) == (
        "Event to page at 20,000 events/s",
        [LATENCY],
    )
    assert failed == ["latency: PostgreSQL: nobody was paged"]


def test_a_trigger_of_an_incident_that_is_open_is_no_page():
    with Pager() as pager:
        notifier = PagerDuty(ROUTING_KEY, lambda: T0, pager.url)
        for notice in (NOTICE, NOTICE, resolved(), resolved(), NOTICE):
            notifier.notify(notice, T0 + 10_000)
        times = {action: len(at) for (action, _), at in pager.seen.items()}
    assert times == {"trigger": 2, "resolve": 1}
    assert pager.repeated == 2
