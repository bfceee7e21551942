"""The known deviations of targets from the API, one by one, each with its reason.

A test has the answer of the API and, for a quirk, the other one. Both are asserted: a target that loses a quirk fails.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.wire.contract.targets import Make


@dataclass(frozen=True)
class Quirk:
    """A difference of some makes of servers."""

    reason: str
    makes: frozenset[Make]

    def of(self, make: Make) -> bool:
        return make in self.makes


def _upstream(reason: str) -> Quirk:
    return Quirk(reason, frozenset({Make.ZAQAR}))


HOME_NEEDS_ITS_SLASH = _upstream("API 1.1: late releases match exactly; better a home document with and without slash")
VENDOR_TYPES_REFUSED = _upstream("API 1.2: the reference refuses the vendor types of 1.10; accepting them is harmless")
LARGE_MARKERS_FAIL = _upstream(
    "API 6.3: a marker that is none gives an empty page; beyond 64 bits it makes MongoDB fail"
)
CLAIM_ID_JUDGED_FIRST = _upstream(
    "API 2.12: a message that is not there is deleted whatever claim_id says; MongoDB refuses a malformed one first"
)
PURGE_TAKES_ONE_PAGE = _upstream("API 4.9: all subscriptions are to be purged; the reference takes the first ten")
TRUSTS_NEED_KEYSTONE = _upstream(
    "API 4.11: trust+http(s) needs a trust, which the reference makes in Keystone, at once"
)
ODD_NAMES_PASS = _upstream("API 1.4: names that end in a newline, and . and .., are better refused than taken")
ENTRIES_MUST_BE_OBJECTS = _upstream("API 1.8: an entry of a post that is no object is better 400 than 500")
WRONG_KINDS_FAIL = _upstream("API 4.5, 4.10, 4.11: an array where an object is due, or the reverse, should be 400")
ATTRIBUTES_OF_ANY_TYPE = _upstream(
    "API 4.1: an attribute of the wrong type is 400; empty arrays and objects pass for unset, or the reference fails"
)
FALSY_IN_SUBSCRIPTIONS = _upstream("API 4.11: what is empty is not judged by the reference, and then stored or fatal")
CONSTANTS_PASS = _upstream("API 1.5: NaN, Infinity and numbers beyond any float are better refused than echoed")
