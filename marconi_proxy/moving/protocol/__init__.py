"""The rules of a move's record, as pure functions and small values: no I/O, no randomness. ``fencing`` has the rules of
placements and writes.

machine: the states of a move · evidence: the events that a placement shows and the record has missed, and the
record for a chain that no move has made.
"""
