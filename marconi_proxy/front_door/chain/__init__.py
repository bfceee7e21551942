"""Calls to a queue with history: what ``routing.decision`` says of its chain of segments, carried out.

dispatch: which of the following does it · segment_client: one client's call as segments are asked, and their answers as
it is shown them · claims: claims and pops · message_pages: listing · merge: messages by ids, stats · broadcast: what
all segments must do. A queue that was never moved never gets here.

One rule of failure for all of them: a segment that cannot be asked is a refusal (503). A list is never silently short,
and nothing is taken from a segment before the older ones are known to be empty, for that would break the order.
"""
