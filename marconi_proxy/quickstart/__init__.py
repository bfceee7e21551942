"""From nothing to a working front door with a tour of it, on one machine.

children: the processes it starts, and that none of them is left behind · tour: what it shows, each step checked ·
session: the order of it all.
"""
