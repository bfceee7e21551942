"""The body of a claim (API sections 2.13, 2.15, 3.7)."""

from __future__ import annotations

from typing import Any

from partition.errors import bad_request
from partition.model.limits import LONGEST, MIN_CLAIM_GRACE, MIN_CLAIM_TTL, Limits
from partition.model.message import Lease
from partition.validation.json_document import integer_member


def lease(document: dict[str, Any], default_ttl: int | None, default_grace: int | None) -> Lease:
    """Return the ttl and grace of a body, unchecked for range. A default of None makes the member required."""
    return Lease(integer_member(document, "ttl", default_ttl), integer_member(document, "grace", default_grace))


def check_new(lease: Lease, limit: int | None, limits: Limits) -> None:
    """Raise BadInput unless such a claim on so many messages may be made."""
    check_renewal(lease, limits)
    most = limits.max_messages_per_claim_or_pop
    if limit is not None and not 0 < limit <= most:
        raise bad_request(f"Limit must be at least 1 and may not be greater than {most}.")
    if not MIN_CLAIM_GRACE <= lease.grace <= limits.max_claim_grace:
        raise bad_request(
            f"The grace for a claim may not exceed {limits.max_claim_grace} seconds, and must be at least "
            f"{MIN_CLAIM_GRACE} seconds long."
        )


def check_renewal(lease: Lease, limits: Limits) -> None:
    """Raise BadInput unless a claim may be renewed so.

    The range of grace is not checked (API section 2.15), but there must be a time when it ends.
    """
    if not MIN_CLAIM_TTL <= lease.ttl <= limits.max_claim_ttl:
        raise bad_request(
            f"The TTL for a claim may not exceed {limits.max_claim_ttl} seconds, and must be at least "
            f"{MIN_CLAIM_TTL} seconds long."
        )
    if abs(lease.grace) > LONGEST:
        raise bad_request("The grace for a claim plus current time must be less than 9999-12-31.")
