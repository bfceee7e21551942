"""What queues there are on a partition, by its own word: whoever compares a partition with the catalog begins here.

Knows partitions and calls to them, and nothing of placements.
"""
