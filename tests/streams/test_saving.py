"""When a checkpoint is due."""

import pytest

from slo.model import MINUTE, SECOND
from streams.saving import turn

T0 = 1_700_000_000_000


def due_at(partition: int, minutes: int = 1) -> list[int]:
    """The seconds after T0 at which a checkpoint falls due."""
    turns = [turn(partition, T0 + s * SECOND) for s in range(-1, minutes * 60)]
    return [s for s in range(minutes * 60) if turns[s] != turns[s + 1]]


@pytest.mark.parametrize("partition", [0, 1, 11, 59, 60, 1_000])
def test_a_checkpoint_is_due_once_a_minute(partition):
    first, second, third = due_at(partition, minutes=3)
    assert (second - first, third - second) == (60, 60)
    assert turn(partition, T0 + MINUTE) == turn(partition, T0) + 1


def test_no_page_waits_for_the_checkpoints_of_other_partitions():
    moments = sorted(second for partition in range(12) for second in due_at(partition))
    apart = [
        b - a for a, b in zip(moments, [*moments[1:], moments[0] + 60], strict=True)
    ]
    assert min(apart) >= 4


def test_sixty_partitions_have_sixty_moments():
    assert len({due_at(partition)[0] for partition in range(60)}) == 60
