"""What the bench keeps, and what it says to other programs."""

from benchmarks.figures import Figure, keep

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
