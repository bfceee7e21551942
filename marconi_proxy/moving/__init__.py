"""Moves of queues that are in use.

protocol: the states of a move, and what its record may have missed · orders: may a queue be moved there ·
driving: one move, a step at a time, by whoever holds it · plans: many moves, decided beforehand and carried out gently.

mover, opening: what drives moves · keeping: removing the records of those that ended long ago ·
rehearsal: a move without effect.
"""
