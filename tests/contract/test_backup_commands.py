"""``catalog export`` and ``catalog import`` as processes, over pipes and SQLite."""

from __future__ import annotations

import subprocess
import sys

import pytest

from catalog.errors import LoadUnfinished
from tests.contract.backup_stage import count, do, filled

COMMAND = (sys.executable, "-m", "marconi_proxy", "catalog")


@pytest.fixture
def uri(tmp_path):
    return filled(tmp_path)


@pytest.fixture
def other(tmp_path):
    return f"sqlite:///{tmp_path}/other.db"


def pipe(uri, content):
    """Import from a pipe; return the exit status and the messages."""
    done = subprocess.run([*COMMAND, "import", "--catalog", uri, "-"], input=content, capture_output=True, check=False)
    return done.returncode, done.stderr.decode()


def test_a_pipe_that_breaks_off_leaves_the_mark_until_it_is_done_again(uri, other):
    content = subprocess.run([*COMMAND, "export", "--catalog", uri], capture_output=True, check=True).stdout
    status, err = pipe(other, content[: len(content) // 2])
    assert status == 3
    assert "-: line " in err
    assert (
        "was emptied and is incomplete, and servers refuse it until marconi-proxy catalog import has completed" in err
    )
    with pytest.raises(LoadUnfinished):
        do(other, lambda catalog: catalog.check())
    status, err = pipe(other, content)
    assert status == 0, err
    do(other, lambda catalog: catalog.check())
    assert count(other) == 1200


def test_from_one_command_to_the_other(uri, other):
    with subprocess.Popen(
        [*COMMAND, "export", "--catalog", uri], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as out:
        into = subprocess.run([*COMMAND, "import", "--catalog", other, "-"], stdin=out.stdout, check=False)
        assert out.stderr is not None
        assert b"Exported" in out.stderr.read()
    assert (out.returncode, into.returncode) == (0, 0)
    assert count(other) == 1200
