"""What a hand-over needs of its consumer."""

import pytest
from confluent_kafka import Consumer

from streams.runtimes.handover import group_of
from streams.runtimes.transactions import AbortedError


def test_who_is_in_no_group_any_more_hands_nothing_over():
    consumer = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "g"})
    assert group_of(consumer)
    consumer.close()
    with pytest.raises(AbortedError):
        group_of(consumer)
