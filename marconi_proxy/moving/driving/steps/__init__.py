"""The steps of a move, as an interface and three implementations.

interface: what there is to do · real: does it, through the catalog and the way to partitions · dry: checks what can be
checked, and does nothing · faulty: does what another one does, and fails where a test wants it to · subscriptions and
queue_calls: the calls of the real one to partitions.
"""
