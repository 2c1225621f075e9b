"""The judge of cases must be able to say no."""

from tests.cases.judge import Seen, complaints

T0 = 1_794_000_000_000
EXPECT = {
    "t0_ms": T0,
    "pages": [
        {
            "slo": "lag",
            "resource": "a",
            "at_s": 60,
            "tolerance_s": 10,
            "resolved_after_s": 300,
            "resolved_by_s": 400,
        }
    ],
    "slices": {"lag/a": {"bad": 1, "good": 2}},
    "ratio_slices_bad": {"lag/a": 1.0},
    "unknown": [{"slo": "lag", "resource": "a", "within_s": [-100, 50]}],
}
LEDGER = ["lag/a\t0\t1\t1", "lag/a\t60000\t1\t1", "lag/a\t120000\t0\t1"]


def change(at_s: int, before: str, after: str, resource: str = "a"):
    minute, second = divmod(at_s, 60)
    # T0 is 2026-11-06T21:20:00Z
    return {
        "time": f"2026-11-06T21:{20 + minute:02d}:{second:02d}.000Z",
        "slo": "lag",
        "resource": resource,
        "from": before,
        "to": after,
    }


RIGHT = [change(60, "unknown", "page"), change(320, "page", "ok")]


def test_what_was_expected_has_no_complaint():
    assert complaints(EXPECT, Seen(RIGHT, LEDGER), Seen([], LEDGER)) == []


def test_every_deviation_is_a_complaint():
    deviations = {
        "no page": Seen([], LEDGER),
        "a late page": Seen([change(90, "unknown", "page"), RIGHT[1]], LEDGER),
        "a second page": Seen([*RIGHT, change(330, "ok", "page", "b")], LEDGER),
        "an early end": Seen([RIGHT[0], change(200, "page", "ok")], LEDGER),
        "a page without end": Seen(RIGHT[:1], LEDGER),
        "a verdict where unknown was due": Seen(
            [change(40, "unknown", "ok"), change(60, "ok", "page"), RIGHT[1]], LEDGER
        ),
        "a slice too few": Seen(RIGHT, LEDGER[:2]),
        "a slice that turned": Seen(RIGHT, [*LEDGER[:2], "lag/a\t120000\t1\t1"]),
    }
    silent = [
        name for name, seen in deviations.items() if not complaints(EXPECT, seen, None)
    ]
    assert silent == []


def test_a_twin_with_another_ledger_is_a_complaint():
    found = complaints(EXPECT, Seen(RIGHT, LEDGER), Seen([], LEDGER[:1]))
    assert found == ["the ledger differs from its twin's"]
