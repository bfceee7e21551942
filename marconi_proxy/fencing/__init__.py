"""What the front door and the mover share so that no write is lost at a switch. Pure: no I/O, clocks are arguments.

transitions: one placement to the next · fence: a worker's right to write, and what it owes before it may acknowledge a
seal · barrier: whether every worker has stopped writing to a sealed queue · hidden_names: what a segment's queue is
called.
"""
