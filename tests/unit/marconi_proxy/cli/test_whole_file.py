from __future__ import annotations

import os
import stat

import pytest

from marconi_proxy.cli.whole_file import whole_file


def test_what_is_written_is_the_file_for_its_owner_only(tmp_path):
    path = tmp_path / "backup"
    path.write_text("before")
    path.chmod(0o644)
    with whole_file(str(path)) as stream:
        stream.write(b"after")
        stream.flush()
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["backup"]


@pytest.mark.parametrize("there", [True, False])
def test_a_failure_leaves_what_was_there(tmp_path, there):
    path = tmp_path / "backup"
    if there:
        path.write_text("before")
    with pytest.raises(KeyboardInterrupt), whole_file(str(path)) as stream:  # noqa: PT012 -- the block is the test
        stream.write(b"half")
        raise KeyboardInterrupt
    assert [p.read_text() for p in tmp_path.iterdir()] == (["before"] if there else [])


def test_a_link_stays_one(tmp_path):
    path, link = tmp_path / "backup", tmp_path / "latest"
    path.write_text("before")
    link.symlink_to(path)
    with whole_file(str(link)) as stream:
        stream.write(b"after")
    assert link.is_symlink()
    assert path.read_text() == "after"


def test_what_is_no_file_is_written_to(tmp_path):
    with whole_file("/dev/null") as stream:
        stream.write(b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_pipe_is_written_to_by_the_name_of_its_descriptor():
    reader, writer = os.pipe()
    with whole_file(f"/dev/fd/{writer}") as stream:
        stream.write(b"whole")
    os.close(writer)
    with open(reader, "rb") as stream:
        assert stream.read() == b"whole"


def test_no_directory(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(str(tmp_path / "none" / "backup")):
        pass
