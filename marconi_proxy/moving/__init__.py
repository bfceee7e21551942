"""Moves of queues that are in use, decided by pure functions and small values: no I/O, clock or chance in any of them.

transitions: one placement to the next · fence: a worker's right to write, and what it owes before it may acknowledge ·
barrier: whether every worker has stopped writing to a sealed queue · machine: the states of a move · evidence: what a
placement tells about a move whose record lags behind · ordering: may a queue be moved there · groups: which queues
share a partition · planning: which go where · budgets: how gently. ``plans`` reads and writes the catalog.
"""
