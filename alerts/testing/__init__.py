"""Fakes that ship with the library: an outbox in memory, a PagerDuty on loopback."""
