"""Route calls by pure functions: no I/O, clock, configuration or logging in this package.

route: the meaning of a request line · identity: the project of a call · choice: the partition of a new queue ·
decision: (placement, route, target) -> the action · headers: the headers that cross the proxy · dead_letter: the
dead-letter queue that a request names · listing_query: the query of a listing · tags, query, translation, json_text,
answer_text, mirrored_patch: between the client's view of a queue with history and that of its segments.
"""
