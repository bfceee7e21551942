"""The command line as a whole: its table of commands, their help, and those that run nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys

import pytest

from catalog import open_catalog
from marconi_proxy.cli.commands import ALIASES, COMMANDS
from marconi_proxy.cli.config import sample
from marconi_proxy.cli.main import main


@pytest.fixture(autouse=True)
def quiet_logging():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = handlers, level


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_helps_with_examples(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    out = capsys.readouterr().out
    usage, _, examples = out.partition("Examples:")
    assert f"marconi-proxy {command}" in usage
    assert f"marconi-proxy {ALIASES.get(command, command)}" in examples


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert not ended.value.code
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command} " in out


def test_an_unknown_command_is_named_on_stderr(capsys):
    assert main(["partition", "lst"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "partition lst" in err
    assert "partition list" in err


def test_simple_commands_import_nothing_big():
    """Imports make a command slow to start."""
    program = (
        "import sys; from marconi_proxy.cli.main import main; main(['partition', 'list', '--admin-url', 'x']); "
        "print([m for m in ('gunicorn', 'uvicorn', 'falcon', 'pymongo', 'oslo_config', 'cmd2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_sample_is_printed(capsys):
    assert main(["config", "sample"]) == 0
    assert capsys.readouterr().out == sample()


def test_a_checked_configuration_is_shown_without_secrets(capsys, monkeypatch, tmp_path):
    path = tmp_path / "c.conf"
    path.write_text("[public]\nworkers = 7\n")
    monkeypatch.setenv("OS_ADMIN__TOKEN", "verysecret")
    arguments = ["--config-file", str(path), "--catalog", "mongodb://u:verysecret@h/db?x=verysecret", "-f", "json"]
    assert main(["config", "check", *arguments]) == 0
    out, err = capsys.readouterr()
    assert "verysecret" not in out + err
    values = {(row["group"], row["option"]): row["value"] for row in json.loads(out)}
    assert values["catalog", "uri"] == "mongodb://***@h/db"
    assert values["public", "workers"] == 7
    assert values["public", "bind"] == "127.0.0.1:8888"
    assert values["upstream", "deadline"] == 60.0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[public]\nworker = 1\n", "worker "),
        ("[pubic]\n", "[pubic]"),
        ("[public]\nworkers = 0\n", "[public] workers"),
        ("[admin]\nbind = 0.0.0.0:1\n", "[admin] bind"),
    ],
)
@pytest.mark.parametrize("command", ["config check", "serve admin", "catalog init"])
def test_a_wrong_option_ends_with_2_and_names_itself(command, text, named, capsys, tmp_path):
    if command == "catalog init" and "0.0.0.0" in text:
        command = "config check"
    path = tmp_path / "c.conf"
    path.write_text(text)
    catalog = f"sqlite:///{tmp_path / 'c.db'}"
    assert main([*command.split(), "--config-file", str(path), "--catalog", catalog]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err
    assert not (tmp_path / "c.db").exists()


def test_a_wrong_flag_of_serve_names_its_option(capsys):
    assert main(["serve", "public", "--catalog", "sqlite:////unused", "--workers", "0"]) == 2
    assert "[public] workers" in capsys.readouterr().err


def test_no_catalog_names_every_way_to_give_one(capsys):
    assert main(["serve", "public"]) == 2
    err = capsys.readouterr().err
    assert "[catalog] uri" in err
    assert "--catalog" in err


def test_a_catalog_is_initialised_and_again(capsys, tmp_path):
    uri = f"sqlite:///{tmp_path / 'c.db'}"
    for _ in range(2):
        assert main(["catalog", "init", "--catalog", uri]) == 0
        assert "marconi-proxy serve" in capsys.readouterr().err

    async def check():
        catalog = await open_catalog(uri)
        await catalog.check()
        await catalog.close()

    asyncio.run(check())


@pytest.mark.parametrize("command", [["catalog", "init"], ["serve", "admin"]])
def test_a_catalog_that_cannot_be_opened_ends_with_1(command, capsys, tmp_path):
    uri = f"sqlite:///{tmp_path / 'missing' / 'c.db'}"
    assert main([*command, "--catalog", uri]) == 1
    err = capsys.readouterr().err
    assert uri in err
    assert "Traceback" not in err
