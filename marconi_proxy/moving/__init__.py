"""Moves of queues that are in use.

protocol: the states of a move, and the events that its record may have missed · orders: the conditions of an order ·
execution: one move, a step at a time, by the holder of its lock · plans: many moves, decided in advance and begun by
budget.

mover: drives the moves that are not finished · factory: makes the parts from the options · retention: removes the
records of moves that ended long ago · rehearsal: a move without effect.
"""
