"""The rules of a move, as pure functions and small values: no I/O, clocks are arguments, nothing by chance.

transitions: one placement to the next · fence: a worker's right to write, and what it owes before it may acknowledge a
seal · barrier: whether every worker has stopped writing to a sealed queue · machine: the states of a move · evidence:
what a placement tells about a move whose record lags behind.
"""
