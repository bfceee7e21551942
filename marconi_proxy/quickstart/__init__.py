"""From nothing to a working front door with a tour of it, on one machine.

children: the processes it starts, and that none of them is left behind · embedded: partitions for who has none · tour:
what it shows, each step checked · live_move: the end of it, a move under traffic · traffic: producers and consumers ·
figures: what became of their messages · session: the order of it all.
"""
