"""The way to partition hosts: the only place that opens sockets or parses answers.

connection: one HTTP/1.1 connection · pool: kept connections by origin · balance: which host of a partition, and which
hosts are out · exchange: one call, with its tries under one deadline · limits: the options of it · transport: the same
pool for httpx · errors.
"""
