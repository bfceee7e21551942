"""The promises that the files of the project make about each other."""

from __future__ import annotations

import configparser
import re
import stat
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def requirements(file: str, section: str, option: str) -> list[str]:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / file)
    return [line.strip() for line in setup[section][option].splitlines() if line.strip()]


RUNTIME = requirements("setup.cfg", "options", "install_requires")
TEST = requirements("setup.cfg", "options.extras_require", "test")
DOCS = requirements("setup.cfg", "options.extras_require", "docs")
TOOLS = requirements("tox.ini", "testenv:pep8", "deps")
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]


def commands_of_the_readme() -> list[str]:
    text = (ROOT / "README.rst").read_text()
    set_up = text.partition("Set up\n------\n")[2].partition("\nArchitecture\n")[0]
    return [line.strip() for line in set_up.splitlines() if line.startswith("    ")]


def test_readme_has_exactly_two_set_up_commands_of_one_line() -> None:
    main_job, tests = commands_of_the_readme()
    assert main_job.endswith("marconi-proxy quickstart")
    assert tests.endswith("/tox")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    found = re.search(r"sed -n '(.+)' README\.rst", script.read_text())
    assert found is not None
    pattern = found[1].removeprefix("s/").removesuffix("/\\1/p").replace("\\(", "(").replace("\\)", ")")
    pattern = pattern.replace("\\/", "/")
    matches = re.findall(pattern, (ROOT / "README.rst").read_text(), re.MULTILINE)
    assert matches == [commands_of_the_readme()[1]]


def test_tests_and_ci_install_what_was_tested() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert " -c {toxinidir}/upper-constraints.txt " in tox["testenv"]["install_command"]
    assert "-c upper-constraints.txt" in commands_of_the_readme()[1]
    assert {name for name in tox if "install_command" in tox[name]} == {"testenv", "testenv:lowest", "testenv:newest"}


@pytest.mark.parametrize("requirement", sorted({*RUNTIME, *TEST, *DOCS, *TOOLS, *BUILD, "tox"}))
def test_upper_constraints_have_a_version_that_is_admitted(requirement: str) -> None:
    wanted = Requirement(requirement)
    pins = map(Requirement, re.findall(r"^\w.*", (ROOT / "upper-constraints.txt").read_text(), re.MULTILINE))
    (pin,) = (pin for pin in pins if canonicalize_name(pin.name) == canonicalize_name(wanted.name))
    (exactly,) = pin.specifier
    assert exactly.operator == "=="
    assert exactly.version in wanted.specifier


def test_lower_constraints_are_the_lower_bounds_of_setup_cfg() -> None:
    # setuptools comes with tox; Cython builds in the checkout.
    build = [line for line in BUILD if line.startswith("cython")]
    bounds = {line.replace(">=", "==") for line in RUNTIME + TEST + build if ">=" in line}
    lines = (ROOT / "lower-constraints.txt").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == bounds


@pytest.mark.parametrize("requirement", RUNTIME)
def test_every_dependency_has_a_lower_bound_and_a_reason(requirement: str) -> None:
    name, separator, _ = requirement.partition(">=")
    assert separator, f"{requirement} has no lower bound"
    reasons = (ROOT / "HACKING.rst").read_text().partition("Dependencies, and why each")[2]
    assert re.search(rf"\b{re.escape(name)}\b", reasons), f"HACKING.rst does not say why {name} is needed"


def test_every_room_of_the_readme_exists_and_every_package_is_in_it() -> None:
    rooms = set(re.findall(r"``((?:catalog|marconi_proxy|tests|bench)/[a-z_]*/?)``", (ROOT / "README.rst").read_text()))
    assert {room for room in rooms if not (ROOT / room).is_dir()} == set()
    packages = {f"marconi_proxy/{path.parent.name}/" for path in (ROOT / "marconi_proxy").glob("*/__init__.py")}
    assert packages <= rooms
