"""The reference pages and sample configurations, generated from the tables that the product itself works by.

``python docs/tables.py`` writes them anew into ``docs/reference`` and ``etc``, and
``tests/unit/test_generated_documents.py`` compares. They are committed, so that a checkout can be read without building
anything. Nothing here depends on a terminal or on the wording of a library: the same code gives the same bytes
everywhere.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from oslo_config import cfg, types

from marconi_proxy import option_table as proxy
from marconi_proxy.admin.routes import ROUTES
from marconi_proxy.audit.kinds import KINDS
from marconi_proxy.cli.commands import COMMANDS
from marconi_proxy.cli.config import sample
from marconi_proxy.cli.main import MarconiProxy
from marconi_proxy.metrics.names import METRICS
from marconi_proxy.moving.protocol.machine import EVENTS, TABLE, picture
from partition.serving import option_table as partition

DIRECTORY = Path(__file__).parent / "reference"
SAMPLES = Path(__file__).parents[1] / "etc"
COMMAND = "python docs/tables.py"

_WIDTH = 118
_WHOLE: Mapping[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
# The options that cliff adds to every command with data; a release of cliff may add more.
_OUTPUT = re.compile("formatter", re.IGNORECASE)
# In text: quoted commands with options, options, variables of the environment; and what would be taken for markup.
_LITERAL = r"'[a-z][^']* -[^']*'|(?<![\w-])(?:--[a-z][a-z-]*|-[a-z])(?![\w-])|\$?[A-Z]+_[A-Z_<>]+[A-Z>]"
_TEXT = re.compile(rf"(?P<literal>{_LITERAL})|(?P<markup>[\\*`|]|(?<=\w)_(?!\w))")
_LISTED = re.compile(r"[-+*]|\(?[0-9a-z#]+[.)]")

Lines = Iterator[str]


# -- reStructuredText --------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """Return text without markup as reStructuredText. Text to type becomes literal: elsewhere ``--`` is a dash."""
    marked = _TEXT.sub(lambda found: code(found[0].strip("'")) if found["literal"] else "\\" + found[0], text)
    return "\\" + marked if _LISTED.match(marked) else marked


def heading(title: str, line: str = "-") -> Lines:
    yield from (title, line * len(title), "")


def paragraph(text: str, indent: str = "") -> Lines:
    yield from wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent, **_WHOLE)
    yield ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> Lines:
    yield from (".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}", "")
    for cells in (head, *rows):
        for number, cell in enumerate(cells):
            bullet = f"   {' ' if number else '*'} - "
            yield from wrap(cell or "--", _WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet), **_WHOLE)
    yield ""


def literal(lines: Iterable[str]) -> Lines:
    yield from ("::", "")
    for line in lines:
        yield f"    {line}" if line else ""
    yield ""


def code(text: str) -> str:
    return f"``{text}``"


# -- pages -------------------------------------------------------------------------------------------------------------


def admin_routes() -> Lines:
    yield from heading("Verbs of the admin API", "=")
    yield from paragraph("The bodies of requests and answers are described in :doc:`../admin-api`.")
    rows = ((code(f"{route.method} {route.path}"), route.policy, route.doc) for route in ROUTES)
    yield from table(("Verb", "Policy", "Effect"), rows, (40, 10, 50))


def commands() -> Lines:
    yield from heading("Every command", "=")
    yield from paragraph(
        "The output of ``--help``, which all commands have. Commands marked *data* have cliff's options of output, "
        "among them ``-f json|yaml|csv|value`` and ``-c COLUMN``. Commands with ``--admin-url`` call the admin API; "
        "it and the exit statuses are described in :doc:`../commands`."
    )
    app = MarconiProxy()
    for name in sorted(COMMANDS):
        factory, _, _ = app.command_manager.find_command(name.split())
        yield from command(name, factory(app, None, cmd_name=name).get_parser(f"marconi-proxy {name}"))


def command(name: str, parser: argparse.ArgumentParser) -> Lines:
    groups = parser._action_groups
    own = [group for group in groups if not _OUTPUT.search(group.title or "")]
    actions = [action for group in own for action in group._group_actions if "--help" not in action.option_strings]
    yield from heading(name)
    for number, text in enumerate((parser.description or "").strip().split("\n\n")):
        data = " (*data*)" if number == 0 and len(own) < len(groups) else ""
        yield from paragraph(plain(" ".join(text.split())) + data)
    exclusive = {id(action): group for group in parser._mutually_exclusive_groups for action in group._group_actions}
    yield from literal(usage(f"marconi-proxy {name}", actions, exclusive))
    rows = [
        (code(spelling(action)), meaning(action)) for action in actions if "--admin-url" not in action.option_strings
    ]
    if rows:
        yield from table(("Argument", "Meaning"), rows, (30, 70))
    _, examples, text = (parser.epilog or "").partition("Examples:\n")
    if examples:
        yield from ("Examples::", "")
        yield from (f"    {line.strip()}" for line in text.strip().splitlines())
        yield ""


def usage(program: str, actions: Sequence[argparse.Action], exclusive: Mapping[int, object]) -> Lines:
    """Yield lines as argparse would, which differ from one release of Python to the next."""
    words = [program]
    # Positional arguments last, as people type them; of those that exclude each other one word.
    pending = sorted(actions, key=lambda action: not action.option_strings)
    while pending:
        action = pending.pop(0)
        group = exclusive.get(id(action))
        others = [other for other in pending if group is not None and exclusive.get(id(other)) is group]
        pending = [other for other in pending if other not in others]
        word = " | ".join(spelling(one) for one in (action, *others))
        required = action.required or getattr(group, "required", False)
        if not action.option_strings:
            required = action.nargs not in ("?", "*")
        words.append(word if required and not others else f"({word})" if required else f"[{word}]")
    indent = " " * (len(program) + 1)
    line = words[0]
    for word in words[1:]:
        if len(line) + len(word) > 100:
            yield line
            line = indent + word
        else:
            line += f" {word}"
    yield line


def spelling(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else None
    if value is None:
        value = "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    if action.nargs in ("+", "*"):
        value += "..."
    if not action.option_strings:
        return value
    longest = max(action.option_strings, key=len)
    return longest if action.nargs == 0 else f"{longest} {value}"


def meaning(action: argparse.Action) -> str:
    return plain(" ".join((action.help or "").split()))


def metrics() -> Lines:
    yield from heading("Metrics", "=")
    yield from paragraph("Gauges of ``GET /metrics`` of the admin API (:doc:`../admin-api`).")
    rows = ((code(metric.name), ", ".join(map(code, metric.labels)), metric.what) for metric in METRICS)
    yield from table(("Metric", "Labels", "Meaning"), rows, (40, 15, 45))


def move_states() -> Lines:
    yield from heading("States of a move", "=")
    yield from paragraph(
        "From the table ``TABLE`` of ``marconi_proxy/moving/protocol/machine.py``, which the mover goes by. "
        ":doc:`../moves` explains the progress of a move; architecture section 8 draws the table."
    )
    yield from heading("States")
    rows = ((code(state), place.meaning, place.way_out or "(an end)") for state, place in TABLE.items())
    yield from table(("State", "Meaning", "Way out"), rows, (20, 45, 35))
    yield from heading("Events")
    yield from table(("Event", "Meaning"), ((code(event), words) for event, words in EVENTS.items()), (20, 80))
    yield from heading("Which event leads where")
    yield from literal(picture())


def audit_kinds() -> Lines:
    yield from heading("Kinds of findings", "=")
    yield from paragraph(
        "The disagreements between catalog and partitions, as ``marconi-proxy catalog verify``, ``GET /v1/audit`` and "
        "the metrics name it (:doc:`../operator-guide`)."
    )
    rows = (
        (code(kind), meaning.what, meaning.repair or "Nothing.", meaning.otherwise) for kind, meaning in KINDS.items()
    )
    head = ("Kind", "Meaning", "Repair (``--repair``)", "Left to the operator")
    yield from table(head, rows, (12, 34, 27, 27))


def options() -> Lines:
    yield from heading("Every option of marconi-proxy", "=")
    yield from paragraph(
        "Where options come from is described in :doc:`../options`; ``etc/marconi-proxy.conf.sample`` is the same as a "
        "file."
    )
    yield from option_groups(proxy.GROUPS)


def partition_options() -> Lines:
    yield from heading("Every option of marconi-partition", "=")
    yield from paragraph(
        "``etc/marconi-partition.conf.sample`` is the same as a file; the program is described in :doc:`../partition`."
    )
    yield from option_groups(partition.GROUPS)


def option_groups(groups: Mapping[str, Sequence[cfg.Opt]]) -> Lines:
    for group, opts in sorted(groups.items()):
        yield from heading(f"[{group}]")
        rows = ((code(opt.dest), f"{kind(opt)}; default: {default(opt)}", explanation(opt, group)) for opt in opts)
        yield from table(("Option", "Type and default", "Meaning"), rows, (20, 25, 55))


def kind(opt: cfg.Opt) -> str:
    """Return the type of an option's value, with its bounds or choices."""
    found = opt.type
    if isinstance(found, types.Boolean):
        return "true or false"
    if isinstance(found, types.List):
        return "list, with commas between"
    if isinstance(found, types.Integer | types.Float):
        word = "number" if isinstance(found, types.Float) else "integer"
        return f"{word}, {found.min} to {found.max}"
    if isinstance(found, types.String):
        return "one of " + ", ".join(map(code, found.choices)) if found.choices else "text"
    return str(found.type_name).removesuffix(" value")


def default(opt: cfg.Opt) -> str:
    if opt.default is None:
        return "none"
    if isinstance(opt.default, bool):
        return code(str(opt.default).lower())
    if isinstance(opt.default, list):
        return code(",".join(map(str, opt.default))) if opt.default else "empty"
    return code(str(opt.default))


def explanation(opt: cfg.Opt, group: str) -> str:
    parts = [plain(" ".join((opt.help or "").split()))]
    choices = opt.type.choices if isinstance(opt.type, types.String) else None
    parts += [f"{code(choice)}: {plain(words)}" for choice, words in (choices or {}).items() if words]
    earlier = [
        f"[{old.group or group}] {code(old.name or opt.dest)}" for old in opt.deprecated_opts if old.name or old.group
    ]
    if earlier:
        parts.append(f"Also read as {', '.join(earlier)}.")
    return " ".join(parts)


PAGES: Mapping[str, Callable[[], Lines]] = {
    "admin-routes.rst": admin_routes,
    "audit-kinds.rst": audit_kinds,
    "commands.rst": commands,
    "metrics.rst": metrics,
    "move-states.rst": move_states,
    "options.rst": options,
    "partition-options.rst": partition_options,
}


# By the namespace of their options.
NAMESPACES = {"marconi-partition.conf.sample": "marconi_partition", "marconi-proxy.conf.sample": "marconi_proxy"}


def text_of(name: str) -> str:
    """Return the text of a page as it is to be committed."""
    lines = [f".. Generated. Do not edit; run: {COMMAND}", "", *PAGES[name]()]
    return "\n".join(lines).rstrip("\n") + "\n"


def main() -> int:
    DIRECTORY.mkdir(exist_ok=True)
    for name in PAGES:
        (DIRECTORY / name).write_text(text_of(name), encoding="utf-8")
    for name, namespace in NAMESPACES.items():
        (SAMPLES / name).write_text(sample(namespace), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
