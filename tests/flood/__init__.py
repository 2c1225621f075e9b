"""A flood of distinct names, labels and dates beside a fleet's real records.

python -m tests.flood --values 1000000
"""
