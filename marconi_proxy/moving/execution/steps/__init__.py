"""The steps of a move, as an interface and two implementations.

interface: the steps · real: executes them, through the catalog and calls to partitions · dry: performs the checks,
without effect. Tests have a third implementation, which fails on demand.
"""
