"""Which versions of the API a test is about; without a mark it is about all three."""

from __future__ import annotations

import pytest

V1 = pytest.mark.parametrize("version", ["v1"])
LATE = pytest.mark.parametrize("version", ["v1.1", "v2"])
V1_1 = pytest.mark.parametrize("version", ["v1.1"])
V2 = pytest.mark.parametrize("version", ["v2"])
