"""Memory of a long-lived engine."""

import gc

YOUNG_OBJECTS = 500_000


def collect_seldom() -> None:
    """Look for garbage in cycles seldom: facts and ledgers are tuples and arrays.

    The default looks after every 700 new objects, and a flush brings thousands that
    stay; looking costs stage 2 a fifth of its time and finds nothing. So many are there
    of a step of stage 2 that catches up before they are done with.
    """
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
