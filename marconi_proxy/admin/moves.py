"""``/v1/moves``: orders, readings and operators' decisions. Movers execute them."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import falcon
import falcon.asgi

from catalog import Catalog
from catalog.errors import MoveConflict, MoveUnderWay
from catalog.model import FINISHED_STATES, UNFINISHED_STATES, Move, MoveState, QueueKey
from marconi_proxy.admin import move_json
from marconi_proxy.admin.body import read_object, refuse_unknown
from marconi_proxy.admin.move_decisions import MoveDecisions
from marconi_proxy.admin.query import bad_parameter, named_project, next_links, page_limit, parameters
from marconi_proxy.moving.orders.decisions import next_number
from marconi_proxy.moving.orders.order import (
    MoveRefused,
    MoveRequest,
    check_not_sent_on,
    is_on_its_way,
    offers,
    onward,
    order,
)
from marconi_proxy.moving.plans.names import new_move_id
from marconi_proxy.moving.plans.survey import catalog_view
from marconi_proxy.moving.protocol.machine import TABLE, Event, NotNow
from marconi_proxy.moving.rehearsal import Rehearsed
from marconi_proxy.project_text import from_json, from_url, project_from_json, shown, to_url

MEMBERS = ("project", "queue", "to", "max_pause_ms", "dry_run")
FILTERS = ("project", "queue", "partition", "state", "plan", "whole", "marker", "limit")

# Return the obstacles of a move, given with the others of its group, from partitions and workers, and the steps that it
# would take without obstacles. Changes nothing.
Rehearsal = Callable[..., Awaitable[Rehearsed]]

_GROUPS_OF_STATES = {"unfinished": UNFINISHED_STATES, "finished": FINISHED_STATES}
# By decision: the states in which it has taken effect already, so that a repetition is no error.
_ALREADY = {
    Event.PAUSE: {MoveState.PAUSED, MoveState.SUSPENDED},
    Event.CANCEL: {MoveState.UNDOING, MoveState.REROUTE_UNDOING, MoveState.CANCELLED},
    Event.REVERSE: {MoveState.REROUTE_PREPARING, MoveState.REROUTE_ARMED, MoveState.REROUTE_SEALING},
    Event.RESUME: set(),
}


@dataclass(frozen=True, slots=True)
class _Order:
    """The body of a POST."""

    request: MoveRequest
    dry_run: bool


class MovesResource:
    """Handlers for the collection and for one move. ``move`` comes percent-encoded.

    ``longest``: the most segments of a chain. ``patience``: seconds to wait for the end of a seal that blocks a
    decision. ``rehearse``: checks partitions and workers, None if this process cannot poll them.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        longest: int,
        patience: float,
        rehearse: Rehearsal | None = None,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], str] = lambda: secrets.token_hex(3),
    ) -> None:
        self._catalog = catalog
        self._longest = longest
        self._rehearse = rehearse
        self._clock = clock
        self._chance = chance
        self._decisions = MoveDecisions(catalog, longest, patience, clock)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def list(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        found = parameters(req, FILTERS)
        limit = page_limit(found)
        if found.get("whole", "false") not in ("true", "false"):
            raise bad_parameter("whole: must be true or false.")
        form = move_json.whole if found.get("whole") == "true" else move_json.summary
        moves = await self._catalog.moves.find(
            project=named_project(found),
            queue=found.get("queue"),
            partition=found.get("partition"),
            states=_states(found["state"]) if "state" in found else None,
            plan=found.get("plan"),
            after=found.get("marker"),
            limit=limit,
        )
        links = next_links("/v1/moves", found, limit, moves[-1].id if moves else None)
        resp.media = {"moves": [form(move, self._clock()) for move in moves], "links": links}

    async def show(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, move: str) -> None:
        resp.media = move_json.whole(await self._decisions.find(from_url(move)), self._clock())

    async def certificate(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, move: str) -> None:
        found = await self._decisions.find(from_url(move))
        if found.certificate is None:
            raise falcon.HTTPNotFound(
                title="No certificate",
                description=f"Move {found.id} is {found.state}; a certificate is written when a move is done.",
            )
        resp.media = dict(found.certificate)

    # -- ordering ----------------------------------------------------------------------------------------------------

    async def order(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        document = await read_object(req)
        refuse_unknown(document, MEMBERS)
        asked = self._parsed(document)
        view = await catalog_view(self._catalog, asked.request.key, self._longest)
        if asked.request.target not in view.partitions:
            raise _invalid(f"to: there is no partition {asked.request.target}.")
        if asked.request.key not in view.placements:
            raise falcon.HTTPNotFound(
                title="Not found", description="queue: no such queue has a placement in this project."
            )
        try:
            under_way = onward(asked.request, view)
            moves = () if under_way else order(asked.request, view, self._ids())
        except MoveRefused as refused:
            if asked.dry_run:
                resp.media = {"moves": [], "problems": [f"{refused}."], "would": [], "rehearsed": False}
                return
            raise _refused(asked.request.key, str(refused)) from refused
        if under_way and not asked.dry_run:
            sent = await self._send_on(under_way, asked.request)
            resp.location = f"/v1/moves/{to_url(sent[0].id)}"
            resp.media = {"moves": [move_json.summary(move, self._clock()) for move in sent]}
            return
        if asked.dry_run:
            moves = moves or tuple(self._decisions.sent_on(move, asked.request, view) for move in under_way)
            found = await self._rehearsed(moves, self._rehearse) if self._rehearse else Rehearsed([], [])
            shown_moves = [move_json.summary(move, self._clock()) for move in moves]
            resp.media = {"moves": shown_moves, **found._asdict(), "rehearsed": self._rehearse is not None}
            return
        await self._insert(moves)
        resp.status = falcon.HTTP_201
        resp.location = f"/v1/moves/{to_url(moves[0].id)}"
        resp.media = {"moves": [move_json.summary(move, self._clock()) for move in moves]}

    async def _rehearsed(self, moves: tuple[Move, ...], rehearse: Rehearsal) -> Rehearsed:
        """Rehearse each move of a group; return a common obstacle once."""
        problems: dict[str, None] = {}
        would = []
        for move in moves:
            found = await rehearse(move, *(mate for mate in moves if mate is not move))
            problems.update(dict.fromkeys(found.problems))
            would += [f"{shown(move.queue)}: {words}" if len(moves) > 1 else words for words in found.would]
        # With an obstacle, the steps before it are not meaningful.
        return Rehearsed(list(problems), [] if problems else would)

    async def _insert(self, moves: tuple[Move, ...]) -> None:
        """Store the moves of a group, the requested one last. A crash in between leaves moves that the operator can
        cancel before a retry. Raises HTTPConflict."""
        done: list[Move] = []
        for move in reversed(moves):
            try:
                await self._catalog.moves.insert(move)
            except (MoveUnderWay, MoveConflict) as error:
                for inserted in done:
                    await self._decisions.change(inserted, Event.CANCEL)
                raise _refused(moves[0].key, str(error)) from error
            done.append(move)

    async def _send_on(self, moves: tuple[Move, ...], request: MoveRequest) -> tuple[Move, ...]:
        """Redirect switched moves to another partition, the requested one last; all that are not under way, or none.
        Raises HTTPConflict."""
        done: list[Move] = []
        for move in (move for move in reversed(moves) if not is_on_its_way(move, request.target)):
            try:
                done.append(await self._decisions.change(move, Event.ONWARD, request))
            except (NotNow, MoveRefused) as refused:
                for sent in done:
                    with contextlib.suppress(NotNow):
                        await self._decisions.change(sent, Event.CANCEL)
                reason = f"move {move.id} is {refused.state} by now" if isinstance(refused, NotNow) else str(refused)
                raise _refused(moves[0].key, reason) from refused
        changed = {move.id: move for move in done}
        return tuple(changed.get(move.id, move) for move in moves)

    def _parsed(self, document: dict[str, Any]) -> _Order:
        for member in ("project", "queue", "to"):
            if member not in document:
                raise _invalid(f"{member}: is needed.")
        try:
            key = QueueKey(project_from_json("project", document["project"]), from_json("queue", document["queue"]))
            target = from_json("to", document["to"])
        except ValueError as error:
            raise _invalid(f"{error}.") from error
        pause, dry_run = document.get("max_pause_ms"), document.get("dry_run", False)
        number = isinstance(pause, (int, float)) and not isinstance(pause, bool)
        if pause is not None and not (number and 1 <= pause <= 60_000):
            raise _invalid("max_pause_ms: must be a number of milliseconds from 1 to 60000, or null.")
        if not isinstance(dry_run, bool):
            raise _invalid("dry_run: must be true or false.")
        return _Order(MoveRequest(key, target, pause, self._clock()), dry_run)

    def _ids(self) -> Iterator[str]:
        first = new_move_id(self._clock(), self._chance())
        yield first
        yield from (f"{first}-{number}" for number in count(1))

    # -- deciding ----------------------------------------------------------------------------------------------------

    async def pause(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, move: str) -> None:
        await self._decide(resp, from_url(move), Event.PAUSE)

    async def resume(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, move: str) -> None:
        await self._decide(resp, from_url(move), Event.RESUME)

    async def cancel(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, move: str) -> None:
        await self._decide(resp, from_url(move), Event.CANCEL)

    async def reverse(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, move: str) -> None:
        await self._decide(resp, from_url(move), Event.REVERSE)

    async def _decide(self, resp: falcon.asgi.Response, move_id: str, event: Event) -> None:
        """Apply an operator's decision to a move and to its group."""
        move = await self._decisions.find(move_id)
        mates = [await self._catalog.moves.get(id_) for id_ in move.group]
        number = next_number([move, *(mate for mate in mates if mate is not None)])
        try:
            if move.state in _ALREADY[event]:
                if event is Event.REVERSE:
                    await self._check_goes_back(move)
                changed = move
            else:
                changed = await self._decisions.change_unsealed(move, event, number)
        except NotNow as refused:
            raise falcon.HTTPConflict(
                title="Not now",
                description=f"Move {move_id} is {refused.state}: it cannot be {_PAST[event]}; "
                f"{_instead(refused.state)}.",
            ) from refused
        except MoveRefused as refused:
            raise falcon.HTTPConflict(
                title="Refused", description=f"Move {move_id} cannot be {_PAST[event]}: {refused}."
            ) from refused
        # Also after a repeated decision: the first process may have died before the rest of the group.
        destination = changed.destination if event is Event.REVERSE else None
        for other_id in () if changed.finished else move.group:
            other = await self._catalog.moves.get(other_id)
            if other is None or other.state in _ALREADY[event]:
                continue
            if event in offers(other.state) or TABLE[other.state].holds_writes:
                try:
                    await self._decisions.change_unsealed(other, event, number, destination)
                except (NotNow, MoveRefused, falcon.HTTPNotFound):
                    # It has progressed meanwhile; the answer shows its state.
                    continue
        resp.media = move_json.whole(changed, self._clock())

    async def _check_goes_back(self, move: Move) -> None:
        """Raise MoveRefused if the move continues instead."""
        placement = await self._catalog.placements.get(move.key)
        if placement is not None:
            check_not_sent_on(move, placement)


_PAST = {
    Event.PAUSE: "paused",
    Event.RESUME: "resumed",
    Event.CANCEL: "cancelled",
    Event.REVERSE: "reversed",
}


def _instead(state: MoveState) -> str:
    if TABLE[state].holds_writes:
        return "it is being switched, which takes a moment: try again"
    can = offers(state)
    return f"what can be done: {', '.join(can)}" if can else "nothing can be done about it"


def _states(text: str) -> set[MoveState]:
    found: set[MoveState] = set()
    for word in text.split(","):
        if word in _GROUPS_OF_STATES:
            found |= _GROUPS_OF_STATES[word]
            continue
        try:
            found.add(MoveState(word))
        except ValueError as error:
            words = ", ".join((*_GROUPS_OF_STATES, *map(str, MoveState)))
            raise bad_parameter(f"state: must be words of {words}, with commas between them.") from error
    return found


def _refused(key: QueueKey, reason: str) -> falcon.HTTPConflict:
    return falcon.HTTPConflict(
        title="Refused", description=f"Queue {shown(key.queue)} is not moved: {reason}. Nothing was changed."
    )


def _invalid(description: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(title="Invalid move", description=description)
