"""The rules of a move's record, as pure functions and small values: no I/O, nothing by chance. ``fencing`` has those of
placements and writes.

machine: the states of a move · evidence: what a placement tells about a move whose record lags behind · suspended: the
move of a chain that no move has made.
"""
