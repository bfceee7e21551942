"""Calls to a queue with history: carry out the decisions of ``routing.decision`` on its chain of segments.

dispatch: the choice among the following · segment_client: one client's call towards segments, and their answers as the
client sees them · claims: claims and pops · message_pages: listing · merge: messages by ids, stats · broadcast: calls
for all segments. A queue that was never moved does not get here.

One rule of failure for all: a segment that cannot be reached is a refusal (503). A list is never silently short.
Nothing is taken from a segment before the older ones are known to be empty, because that would break the order.
"""
