"""Calls of our own to partitions, in the API's own words. Knows partitions and their queues, and nothing of placements.

call: how one is made · upstreams: the ways that it takes, and how often · existence: what a listing shows of some
queues · inventory: all queues of a partition · queue_calls: one queue, and what a move needs of it · metadata,
subscriptions: how one queue comes to have those of another · outcome: what comes of it · discovery: what hosts speak.
"""
