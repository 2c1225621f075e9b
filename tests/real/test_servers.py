"""The servers that other tests stand on are what they claim to be."""

from confluent_kafka import Consumer, Message, Producer

from tests.real.servers.kafka import Kafka


def _read_to_end(kafka: Kafka, topic: str, isolation: str) -> list[Message]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": f"{topic}-{isolation}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
        }
    )
    consumer.subscribe([topic])
    messages: list[Message] = []
    while True:
        for message in consumer.consume(100, 1):
            if message.error() is not None:
                consumer.close()
                return messages
            messages.append(message)


def _transaction(producer: Producer, topic: str, value: str) -> None:
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.flush()


class TestKafka:
    def test_a_reader_of_committed_records_never_sees_an_aborted_one(
        self, kafka: Kafka
    ) -> None:
        topic = kafka.topic("transactions")
        settings = {"bootstrap.servers": kafka.bootstrap, "transactional.id": topic}
        producer = Producer(settings)
        producer.init_transactions()

        _transaction(producer, topic, "kept")
        producer.commit_transaction()
        _transaction(producer, topic, "dropped")
        producer.abort_transaction()
        _transaction(producer, topic, "kept too")
        producer.commit_transaction()

        committed = _read_to_end(kafka, topic, "read_committed")
        everything = _read_to_end(kafka, topic, "read_uncommitted")
        assert [m.value() for m in committed] == [b"kept", b"kept too"]
        assert [m.value() for m in everything] == [b"kept", b"dropped", b"kept too"]

    def test_a_broker_that_is_killed_comes_back_with_its_records(
        self, fresh_kafka: Kafka
    ) -> None:
        topic = fresh_kafka.topic("durable")
        producer = Producer({"bootstrap.servers": fresh_kafka.bootstrap, "acks": "all"})
        producer.produce(topic, b"still here")
        assert producer.flush(30) == 0

        fresh_kafka.stop()
        fresh_kafka.start()

        records = _read_to_end(fresh_kafka, topic, "read_committed")
        assert [m.value() for m in records] == [b"still here"]
