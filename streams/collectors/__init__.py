"""Producers for teams that have no pipeline into Kafka yet."""
