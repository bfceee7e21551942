"""The values of the catalog, immutable and independent of the store. No I/O.

The constructor of each value validates it, and raises ``ValueError`` with the name of the field at fault.

Two spellings are fixed here for the whole system:

* A *project* is the text of ``X-Project-Id``. The empty string is "no project", the global namespace of v1. No request
  can have it as a project (API section 1.2), so the two never collide.
* A *queue* is its name. A v2 topic has a namespace of its own (API section 4.12), and is written ``~name``. ``~`` is in
  no legal name and sorts after all of them, so queues and topics of a project are two disjoint ranges.

One module for each noun. The rest of the code imports from this package.
"""

from catalog.model.audit import AuditState
from catalog.model.backup_value import AT_A_TIME, KINDS, BackupValue, above_all
from catalog.model.change import Change, ChangeSubject, Synced
from catalog.model.held_writes import HeldWrites
from catalog.model.member import UNPROMISED_LEASE, Member
from catalog.model.move import (
    COMING_STATES,
    FEW_STATES,
    FINISHED_STATES,
    MAX_LOG,
    UNFINISHED_STATES,
    Holder,
    LogEntry,
    Measure,
    Move,
    MoveState,
)
from catalog.model.move_facts import BackendQueue, BarrierMembers, MoveMeasurements, MoveProgress, Switch
from catalog.model.partition import API_VERSIONS, MAX_WEIGHT, Partition, PartitionState, address_of, check_host
from catalog.model.placement import (
    LISTED_STATES,
    NO_PROJECT,
    RARE_STATES,
    TOPIC_PREFIX,
    Placement,
    PlacementState,
    QueueKey,
    Seal,
    Segment,
)
from catalog.model.plan import MAX_PLANNED_MOVES, MovePlan, PlannedMove, PlanState, WholePlan
from catalog.model.progress import FAILURES, Ending, MoveOutcome, Progress
from catalog.model.statistics import StatisticsSubject, SubjectStatistics, Walk
from catalog.model.tenant import MAX_SPREAD, Tenant

__all__ = [
    "API_VERSIONS",
    "AT_A_TIME",
    "COMING_STATES",
    "FAILURES",
    "FEW_STATES",
    "FINISHED_STATES",
    "KINDS",
    "LISTED_STATES",
    "MAX_LOG",
    "MAX_PLANNED_MOVES",
    "MAX_SPREAD",
    "MAX_WEIGHT",
    "NO_PROJECT",
    "RARE_STATES",
    "TOPIC_PREFIX",
    "UNFINISHED_STATES",
    "UNPROMISED_LEASE",
    "AuditState",
    "BackendQueue",
    "BackupValue",
    "BarrierMembers",
    "Change",
    "ChangeSubject",
    "Ending",
    "HeldWrites",
    "Holder",
    "LogEntry",
    "Measure",
    "Member",
    "Move",
    "MoveMeasurements",
    "MoveOutcome",
    "MovePlan",
    "MoveProgress",
    "MoveState",
    "Partition",
    "PartitionState",
    "Placement",
    "PlacementState",
    "PlanState",
    "PlannedMove",
    "Progress",
    "QueueKey",
    "Seal",
    "Segment",
    "StatisticsSubject",
    "SubjectStatistics",
    "Switch",
    "Synced",
    "Tenant",
    "Walk",
    "WholePlan",
    "above_all",
    "address_of",
    "check_host",
]
