"""The states of a stored message, which are ranges of one index."""

from __future__ import annotations

FREE = 0
CLAIMED = 1  # under a claim, which may have expired and not been swept: see tidying.py
DELAYED = 2  # until it is due, or found to be: see tidying.py

# The index in which every page is a range. Each query names it: by default SQLite may prefer the index by expiry, and
# would then read the whole queue to sort it.
STORED = "message INDEXED BY message_by_state"
