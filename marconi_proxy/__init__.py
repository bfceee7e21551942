"""One endpoint in front of many Marconi and Zaqar deployments.

The terms that the code uses (architecture section 1 in ``docs/architecture.rst`` has all of them, exactly):

partition    one backend deployment: equivalent hosts over one store
placement    the catalog document with the home of a queue; every change is a compare-and-set
segment      one stretch of a queue: a number, a partition, the queue's name there
chain        the segments of a placement in read order; writes go to the last; more than one is *history*
incarnation  the random token of one life of a queue; epochs compare only within it
epoch        the number of a placement's version: every change adds one
tag, marker  ``s<n>-``, the prefix by which an id names its segment; a client's bookmark in a list
catalog      the store of all that must survive a restart, and its change feed
front door   the public API: worker processes; each is a *member* of the catalog, with a *lease* to write
fence        the count of writes in flight by which a worker may acknowledge a seal; in a node, the mark of an epoch
seal         the change that makes workers hold writes to a queue; it ends with a switch or an abort
switch       the change that appends a segment: from then on writes go there
hold         to let a write wait inside the front door for the end of a seal
retire       to take an empty older segment out of the chain
move         the record and state machine of one queue on its way to another partition
group        moves that are switched together: those of a queue and its dead-letter queue
mover        the daemon that drives moves and carries out plans
plan         many moves, shown first and applied exactly so
cordon       to let a partition take no new queues; to *drain* it is to move away what it has, too
adopt        to give placements to queues that were there before the catalog
finding      one confirmed disagreement between catalog and partitions
"""
