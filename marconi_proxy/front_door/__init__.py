"""The front door: the public ASGI application, one instance per worker process.

application: the story of a call · directory: what this worker knows of the catalog · membership: its heartbeat ·
lifecycle: queues come to be and go · placer: where they go · chain: calls to queues with history · relay: bodies in,
answers out · local: what is answered here (falcon) · refusals: our own errors · home: home documents · settings: the
options of all this.
"""
