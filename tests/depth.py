"""How deep the tests go: ``MARCONI_TEST_DEEP=1`` asks for what CI has no time for (``tox -e nightly``)."""

import os

DEEP = bool(os.environ.get("MARCONI_TEST_DEEP"))
