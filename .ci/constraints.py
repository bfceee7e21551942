"""Write upper-constraints.txt: the newest of everything that tox and its environments install, as of now.

``tox -e constraints`` runs it. The result is what pip would install into one environment with everything, by the Python
that runs this: the oldest one that setup.cfg admits, so that others find these versions, too.
"""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "upper-constraints.txt"
HEADING = """\
# The newest versions that the tests have passed with: of what setup.cfg asks for, of tools, and of what these need.
# The README's test command and tox install exactly these, whatever was released since. Renew: tox -e constraints
"""


def wanted() -> list[str]:
    """Return all that is asked for anywhere: by setup.cfg with its extras, by tox.ini, and to build."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return [f"{ROOT}[test,docs]", *tox["testenv:pep8"]["deps"].split(), *build, "tox"]


def main() -> None:
    pip = (sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-")
    report = json.loads(subprocess.run((*pip, *wanted()), check=True, stdout=subprocess.PIPE).stdout)
    # The only one that does not come from an index is our own.
    chosen = [one["metadata"] for one in report["install"] if "dir_info" not in one["download_info"]]
    lines = sorted((f"{one['name']}=={one['version']}" for one in chosen), key=str.lower)
    FILE.write_text(HEADING + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
