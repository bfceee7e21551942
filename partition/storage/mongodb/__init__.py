"""Queues in MongoDB: a replica set, for partitions of more than one machine.

``driver`` has the class; ``store`` the client and the rules of every conversation; ``schema`` the collections;
``posting`` puts messages at positions that readers never skip, and its docstring is the argument why; ``pages`` reads a
queue and its messages in one round trip; ``taking`` is how claims and pops win messages; ``turns`` joins what is asked
for at the same time. Only here is pymongo imported.

Clocks: every decision is by the clock given to ``open``. MongoDB's own clock only removes, later than that, what has
expired (``schema.gone``).
"""
