"""A look at a segment: any sign of a message keeps it."""

from __future__ import annotations

import pytest

from marconi_proxy.partition_client.outcome import Look


@pytest.mark.parametrize(
    "look",
    [
        Look("p", free=1),
        Look("p", claimed=1),
        Look("p", claimed=-1, free=1),
        Look("p", total=1),
        Look("p", listed=True),
        Look("p", problem="x"),
    ],
)
def test_a_segment_with_any_sign_of_a_message_is_not_empty(look: Look) -> None:
    assert not look.empty
