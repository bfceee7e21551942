"""Keep every write across a switch: the rules that front door and mover share. Pure: no I/O, clocks are arguments.

transitions: one placement to the next, and the name of a new segment · fence: a worker's right to write, and the writes
that delay its acknowledgement of a seal · barrier: whether every worker has stopped writing to a sealed queue.
"""
