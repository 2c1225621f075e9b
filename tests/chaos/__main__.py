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
from tests.chaos.run import BRIEF, FULL, Run

RUNTIMES = ("native", "faust")
SMALL = 50_000
"""Up to so many events a run is the brief one of every day."""


def one(runtime: str, seed: int, events: int, kept: str | None) -> dict[str, Any]:
    """A run in a folder of its own, which `kept` names and keeps."""
    with contextlib.ExitStack() as stack:
        if kept:
            folder = Path(kept) / runtime
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = None
        try:
            run = Run(folder, runtime, seed, events, FULL if events > SMALL else BRIEF)
            checks = run.go()
        except Exception as error:  # noqa: BLE001 - what ends a run is its verdict
            traceback.print_exc()
            checks = [
                *(run.checks if run else []),
                Check("the run", False, repr(error)),
            ]
        for check in checks:
            print(f"{runtime}  {check}", file=sys.stderr)
        figures = run.figures if run else {}
    return {
        "runtime": runtime,
        "seed": seed,
        "events": events,
        "checks": [check._asdict() for check in checks],
        **figures,
    }


def main() -> int:
    """Run it; 1 where anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runtime", choices=[*RUNTIMES, "both"], default="both")
    parser.add_argument("--seed", type=int, default=0, help="0 takes one at random")
    parser.add_argument("--out", help="write what was found as JSON")
    parser.add_argument("--keep", help="a folder that keeps logs and ledgers")
    given = parser.parse_args()
    seed = given.seed or random.randrange(1, 1_000_000)
    chosen = RUNTIMES if given.runtime == "both" else (given.runtime,)
    with contextlib.redirect_stdout(sys.stderr):
        found = [one(runtime, seed, given.events, given.keep) for runtime in chosen]
    if given.out:
        Path(given.out).write_text(json.dumps(found, indent=1) + "\n")
    passed = [check["passed"] for run in found for check in run["checks"]]
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
