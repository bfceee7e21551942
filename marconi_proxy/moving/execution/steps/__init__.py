"""The steps of a move, as an interface and two implementations.

interface: what there is to do · real: does it, through the catalog and the way to partitions · dry: checks what can be
checked, and does nothing. Tests have a third, which fails where they want it to.
"""
