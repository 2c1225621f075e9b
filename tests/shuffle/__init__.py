"""The same records in other orders, batches and partitions give the same ledger.

python -m tests.shuffle --shuffles 5 --seed 1
"""
