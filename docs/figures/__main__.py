"""The two figures of the architecture, drawn as SVG: the life of a request, and the life of a move.

``python docs/figures`` draws them anew into ``docs/images``; ``tests/unit/test_generated_documents.py`` compares.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import canvas
import move_life
import request_life

DIRECTORY = Path(__file__).parents[1] / "images"
COMMAND = canvas.COMMAND
FIGURES: Mapping[str, Callable[[], str]] = {"request.svg": request_life.request, "move.svg": move_life.move}


def main() -> int:
    DIRECTORY.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        (DIRECTORY / name).write_text(draw(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
