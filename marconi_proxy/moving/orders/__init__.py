"""The conditions under which an operator may move a queue, or change its move.

order: whether a queue may be moved to a partition · direction: the destination of a move that goes back or on ·
groups: the queues that must share a partition · decisions: the last decision whether a move goes on.
"""
