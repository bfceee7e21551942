"""Moves of queues that are in use: pure rules, and the mover that follows them.

Decided by pure functions and small values, without I/O, clock or chance: transitions: one placement to the next ·
fence: a worker's right to write, and what it owes before it may acknowledge · barrier: whether every worker has stopped
writing to a sealed queue · machine: the states of a move · evidence: what a placement tells about a move whose record
lags behind · ordering: may a queue be moved there · groups: which queues share a partition · planning: which go where ·
budgets: how gently · pace, naming, progress, certificate: how patient, what it is called, how far, what proves it.

Done: steps: all that a move does to the world · preparing, drive: one move, a step at a time · sealing: a round of
seals · following: the change feed · rehearsal: a move without effect · mover: the daemon · ``plans``: many moves.
"""
