"""The figure of the life of a request."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from canvas import BLUE, GREEN, GREY, LEADING, MARGIN, RED, Canvas, Rect


class Step(NamedTuple):
    """One step of the story, with its number in the architecture. ``modules`` are of ``marconi_proxy``."""

    title: str
    modules: tuple[str, ...]
    text: str

    @property
    def lines(self) -> tuple[str, ...]:
        return (", ".join(self.modules), self.text) if self.modules else (self.text,)


BEFORE = {
    "receive": Step("1. Receive", ("serving.request_parser",), "bytes to one request; ambiguous framing is refused"),
    "parse": Step(
        "2. Parse",
        ("routing.headers", "routing.identity", "routing.route"),
        "version, project, queue, kind of call; raw target kept",
    ),
    "count": Step(
        "3. Count the write", ("front_door.write_gate",), "ticket in the fence, term of the lease (writes only)"
    ),
    "look": Step("4. Look up", ("front_door.directory",), "placement from the cache, else one coalesced read"),
    "decide": Step("5. Decide", ("routing.decision",), "pure: placement and route to an outcome"),
}
OUTCOMES = {
    "forward": Step("Forward", ("front_door.call_service",), "a segment, or by rule"),
    "chain": Step("Spread", ("front_door.chain",), "queue with history"),
    "lifecycle": Step("Create, Delete", ("front_door.lifecycle",), "writes placements"),
    "local": Step("Local", ("front_door.local",), "listings, health"),
    "hold": Step("Hold", ("front_door.write_holds",), "waits for a switch"),
}
AFTER = {
    "exchange": Step(
        "7. Exchange",
        ("upstream.exchange", "upstream.balance", "upstream.pool"),
        "a host, a connection, retries under one deadline",
    ),
    "host": Step("Partition host", (), "a Zaqar, or a node, which refuses stale epochs"),
    "check": Step("8. Check and end", ("front_door.write_gate",), "still the same term? then give the ticket back"),
    "relay": Step("9. Relay", ("front_door.relay",), "status, headers and body of the partition's answer"),
}


def request() -> str:
    """Return the figure of a request's life."""
    left, wide, tall, gap = MARGIN, 540, 62, 28
    canvas = Canvas("The life of a request, from the client's connection to a partition and back")
    small = Rect(left + wide / 2 - 60, 16, 120, 32)
    canvas.box("client", small, "client", (), GREY)
    y = small.bottom + gap
    for name, step in BEFORE.items():
        canvas.box(name, Rect(left, y, wide, tall), step.title, step.lines, BLUE)
        y += tall + gap
    catalog = Rect(left + wide + 140, canvas["look"].y, 180, tall)
    canvas.box("catalog", catalog, "Catalog", ("MongoDB or SQLite",), GREY)
    trunk = y
    y += gap + 6
    step_x = 178
    for number, (name, step) in enumerate(OUTCOMES.items()):
        rect = Rect(left + number * step_x, y, 166, tall)
        canvas.box(name, rect, step.title, step.lines, RED if name == "hold" else GREEN)
    y += tall + gap + 8
    for name, step in AFTER.items():
        fill = GREY if name == "host" else BLUE
        canvas.box(name, Rect(left, y, canvas["lifecycle"].right - left, tall), step.title, step.lines, fill)
        y += tall + gap
    canvas.box("answered", small._replace(y=y), "client", (), GREY)

    down = ("client", *BEFORE)
    for one, other in pairwise(down):
        canvas.arrow(f"{one} to {other}", (small.cx, canvas[one].bottom), (small.cx, canvas[other].y))
    for name in OUTCOMES:
        x = canvas[name].cx
        start = (small.cx, canvas["decide"].bottom)
        canvas.arrow(f"decide to {name}", start, (small.cx, trunk), (x, trunk), (x, canvas[name].y))
    canvas.label(small.cx + 10, trunk - 10, "6. Carry out what was decided")
    for name in ("forward", "chain", "lifecycle"):
        x = canvas[name].cx
        canvas.arrow(f"{name} to exchange", (x, canvas[name].bottom), (x, canvas["exchange"].y))
    down = (*AFTER, "answered")
    for one, other in pairwise(down):
        canvas.arrow(f"{one} to {other}", (small.cx, canvas[one].bottom), (small.cx, canvas[other].y))
    canvas.label(small.cx + 10, canvas["host"].y - 9, "request")
    canvas.label(small.cx + 10, canvas["check"].y - 9, "reply")
    local, end = canvas["local"], canvas["answered"]
    canvas.arrow("local to client", (local.cx, local.bottom), (local.cx, end.cy), (end.right, end.cy))

    look, hold, count = canvas["look"], canvas["hold"], canvas["count"]
    canvas.arrow("read", (look.right, look.y + 20), (catalog.x, look.y + 20))
    canvas.label(look.right + 12, look.y + 14, "read, if not cached")
    canvas.arrow("feed", (catalog.x, look.y + 44), (look.right, look.y + 44))
    canvas.label(look.right + 12, look.y + 38, "change feed")
    turn = hold.right + 8
    canvas.arrow("hold to count", (hold.right, hold.cy), (turn, hold.cy), (turn, count.cy), (count.right, count.cy))
    canvas.label(count.right + 12, count.cy - 6, "after the switch, from step 3")
    notes = (
        "A call that needs no waiting goes through",
        "steps 2 to 9 at once, before ASGI, without",
        "a task (FrontDoor.try_fast_path). A call that names",
        "no queue skips steps 3 and 4.",
    )
    for number, line in enumerate(notes):
        canvas.label(count.right + 12, canvas["receive"].y + 12 + number * LEADING, line)
    return canvas.svg()
