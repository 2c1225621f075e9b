"""The command line of the chaos suite: progress on stderr, the verdict on stdout."""

import argparse
import contextlib
import json
import random
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from tests.chaos.judge import Check
from tests.chaos.run import AWAY, BRIEF, FULL, Run, Size

RUNTIMES = ("native", "faust")
STORIES = ("faults", "store-away")
SMALL = 50_000
"""Up to so many events a run is the brief one of every day."""


def one(
    runtime: str, seed: int, events: int, size: Size, kept: str | None
) -> dict[str, Any]:
    """A run in a folder of its own, which `kept` names and keeps."""
    with contextlib.ExitStack() as stack:
        if kept:
            folder = Path(kept) / f"{runtime}-{size.name}"
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = None
        try:
            run = Run(folder, runtime, seed, events, size)
            checks = run.go()
        except Exception as error:  # noqa: BLE001 - what ends a run is its verdict
            traceback.print_exc()
            checks = [
                *(run.checks if run else []),
                Check("the run", False, repr(error)),
            ]
        for check in checks:
            print(f"{runtime} {size.name}  {check}", file=sys.stderr)
        figures = run.figures if run else {}
    return {
        "runtime": runtime,
        "story": size.name,
        "seed": seed,
        "events": events,
        "checks": [check._asdict() for check in checks],
        **figures,
    }


def sizes(story: str, events: int) -> list[tuple[int, Size]]:
    """How many events and which size: the stories that were asked for."""
    faults = FULL if events > SMALL else BRIEF
    known = {"faults": (events, faults), "store-away": (events // 4, AWAY)}
    return [known[name] for name in STORIES if story in (name, "all")]


def main() -> int:
    """Run it; 1 where anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runtime", choices=[*RUNTIMES, "both"], default="both")
    parser.add_argument("--seed", type=int, default=0, help="0 takes one at random")
    parser.add_argument("--story", choices=[*STORIES, "all"], default="all")
    parser.add_argument("--out", help="write what was found as JSON")
    parser.add_argument("--keep", help="a folder that keeps logs and ledgers")
    given = parser.parse_args()
    seed = given.seed or random.randrange(1, 1_000_000)
    chosen = RUNTIMES if given.runtime == "both" else (given.runtime,)
    with contextlib.redirect_stdout(sys.stderr):
        found = [
            one(runtime, seed, events, size, given.keep)
            for events, size in sizes(given.story, given.events)
            for runtime in chosen
        ]
    if given.out:
        Path(given.out).write_text(json.dumps(found, indent=1) + "\n")
    passed = [check["passed"] for run in found for check in run["checks"]]
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
