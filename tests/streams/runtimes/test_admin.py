"""An admin client is used until nobody answers it."""

from confluent_kafka import TopicPartition

from streams.kafka import Connection
from streams.runtimes.admin import Admin
from streams.runtimes.offsets import LATEST, look_around


def test_a_client_that_nobody_answers_is_replaced_while_a_question_is_under_way():
    admin = Admin(Connection("127.0.0.1:1"))
    under_way = admin.list_offsets({TopicPartition("observations", 0): LATEST})
    before = admin._client
    assert look_around(admin) is None
    assert admin._client is not before
    del before
    assert [one.done() for one in under_way.values()] == [False]
