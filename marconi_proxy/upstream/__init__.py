"""The way to partition hosts: the only place that opens sockets or parses answers.

connection: one HTTP/1.1 connection · pool: kept connections by origin · resolver: the addresses of names · balance: the
choice and ejection of a partition's hosts · places: the calls in flight to a partition and those that wait · retries:
the rule and the budget of further tries · latency: the usual time of an answer · exchange: one call, with its tries
under one deadline · limits: the options of this package · transport: the same pool for httpx · errors.
"""
