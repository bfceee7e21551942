"""The proxy's own calls to partitions. Knows partitions and their queues, and nothing of placements.

* ``call``: one call and its answer. ``upstreams``: upstreams by partition, and their pacing.
* ``existence``: listings of some queues. ``inventory``: all queues of a partition. ``queue_calls``: one queue.
* ``metadata``, ``subscriptions``: the differences between two queues; pure. ``outcome``: results.
* ``discovery``: the API versions and capabilities of hosts. ``host_probes``: probes that decide over their ejection.
"""
