"""Chaos: a generator with a known answer, real servers, and a list of faults.

`python -m tests.chaos --help`; `make chaos` runs it at full size.
"""
