"""From nothing to a working front door with a tour of it, on one machine.

children: the processes that it starts, and their end · embedded: partitions of our own · tour: a demonstration, each
step checked · live_move: its last step, a move under traffic · traffic: producers and consumers · figures: the fate of
their messages · session: the sequence of all parts.
"""
