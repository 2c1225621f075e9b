"""The core: values and functions. No I/O, no clock, no logging."""
