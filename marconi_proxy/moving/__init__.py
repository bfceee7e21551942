"""Moves of queues that are in use, decided by pure functions and small values: no I/O, clock or chance in this package.

transitions: one placement to the next · fence: a worker's right to write, and what it owes before it may acknowledge ·
barrier: whether every worker has stopped writing to a sealed queue · machine: the states of a move · evidence: what a
placement tells about a move whose record lags behind.
"""
