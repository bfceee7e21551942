"""The way to partition hosts: the only place that opens sockets or parses answers.

connection: one HTTP/1.1 connection · pool: kept connections by origin · balance: the choice and ejection of a
partition's hosts · exchange: one call, with its tries under one deadline · limits: the options of this package ·
transport: the same pool for httpx · errors.
"""
