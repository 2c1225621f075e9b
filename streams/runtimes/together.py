"""Records of one fetch and partition, to be applied in one transaction."""

from collections.abc import Sequence
from typing import Any, Final

MOST: Final = 200
"""So many batches go into one transaction at most, whatever the runtime."""


def together(fetched: Sequence[Any], offset: int, most: int = MOST) -> list[Any]:
    """The records of a fetch from an offset on: none is left out between them."""
    return [one for one in fetched if one.offset >= offset][:most]
