"""A fake that ships with the library: a PagerDuty on loopback."""
