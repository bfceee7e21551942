"""The front door: the public ASGI application, one instance per worker process.

application: where calls enter, and where their failures end · worker: the parts of a worker, their start and stop ·
call: one call · fast_path: a call that needs no waiting · call_service: all others · directory: this worker's knowledge
of the catalog · placement_cache: its placements · membership: the worker's heartbeat · seals: the seals in force ·
write_gate: the right to write, and the writes in flight · write_holds: the writes that wait for a switch · chain: calls
to queues with history · relay: bodies in, answers out · refusals: our own errors · settings: the options of all this.

lifecycle: the turns of calls that create or delete · creation, deletion: the two protocols · placer: the partition of a
queue · placement_watch: the placements that other workers left.

local: the answers of the front door itself (falcon) · pages: listings · metadata_fetcher: the metadata in listings.
"""
