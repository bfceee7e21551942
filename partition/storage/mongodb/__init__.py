"""Queues in MongoDB: a replica set, for partitions of more than one machine.

``driver`` has the class; ``store`` the client and the rules of every session; ``schema`` the collections; ``posting``
puts messages at positions that readers never skip, with the proof in its docstring; ``pages`` reads a queue and its
messages in one round trip; ``taking`` is how claims and pops win messages; ``coalescer`` coalesces concurrent jobs into
batches. Only this package imports pymongo.

Clocks: every decision depends on the clock given to ``open``. MongoDB's own clock only removes expired documents, later
than that (``schema.gone``).
"""
