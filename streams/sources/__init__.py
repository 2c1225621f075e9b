"""One wire format, one file: bytes to observations."""
