"""Mutated payloads of every format through both stages, against an independent check.

python -m tests.fuzz --payloads 1000000 --seed 1
"""
