"""Moves of queues that are in use.

protocol: what keeps every message while writes go from one partition to another · orders: may a queue be moved there ·
driving: one move, a step at a time, by whoever holds it · plans: many moves, decided beforehand and carried out gently.

mover, daemon, opening: the process that drives moves · keeping: removing the records of those that ended long ago ·
rehearsal: a move without effect · clock: time as an argument.
"""
