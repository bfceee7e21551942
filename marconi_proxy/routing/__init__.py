"""Where a call goes, decided by pure functions: no I/O, clock, configuration or logging in this package.

route: what a request line asks for · identity: whose call it is · choice: which partition takes a new queue · decision:
(placement, route, target) -> what to do · headers: what crosses the proxy · dead_letter: which queue a request names as
dead-letter queue · listing_query: what a listing asks for · tags, query, translation, json_text, answer_text,
mirrored_patch: what a queue with history looks like from outside, and what its segments call it.
"""
