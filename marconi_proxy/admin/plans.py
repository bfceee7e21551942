"""``/v1/plans``: make plans, show them, and apply exactly the plan that was shown."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import replace

import falcon
import falcon.asgi

from catalog import Catalog
from catalog.errors import PartitionConflict, PlanConflict
from catalog.model import UNFINISHED_STATES, MoveOutcome, MovePlan, PartitionState, PlanState, WholePlan
from marconi_proxy.admin import pins, plan_json
from marconi_proxy.admin.body import read_object, refuse_unknown
from marconi_proxy.admin.query import named_states, next_links, page_limit, parameters
from marconi_proxy.moving.orders.order import MoveRefused
from marconi_proxy.moving.plans.names import new_plan_id
from marconi_proxy.moving.plans.planner import plan
from marconi_proxy.moving.plans.preconditions import changes
from marconi_proxy.moving.plans.selection import Misnamed, PlanKind
from marconi_proxy.moving.plans.survey import all_moves, layout_for, layout_of, past_pauses, whole_plan
from marconi_proxy.project_text import from_url, shown, to_url

# The most changes that a message names, if a plan can no longer be applied.
_NAMED = 5

_S = PlanState
# By decision of an operator: the states that allow it, and the following state.
_VERBS = {
    "paused": ({_S.RUNNING}, _S.PAUSED),
    "resumed": ({_S.PAUSED}, _S.RUNNING),
    "stopped": ({_S.PLANNED, _S.RUNNING, _S.PAUSED}, _S.STOPPED),
}


class PlansResource:
    """Handlers for the collection and for one plan. ``plan`` comes percent-encoded.

    ``longest``: how many segments a chain may have; ``hold_max``, ``seal_timeout``: of the workers
    and the movers, in seconds.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        longest: int,
        hold_max: float,
        seal_timeout: float,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], str] = lambda: secrets.token_hex(3),
    ) -> None:
        self._catalog = catalog
        self._longest = longest
        self._hold_max = hold_max
        self._seal_timeout = seal_timeout
        self._clock = clock
        self._chance = chance

    async def list(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        found = parameters(req, ("state", "marker", "limit"))
        limit = page_limit(found)
        plans = await self._catalog.plans.find(
            states=named_states(found, PlanState), after=found.get("marker"), limit=limit
        )
        links = next_links("/v1/plans", found, limit, plans[-1].id if plans else None)
        resp.media = {"plans": [plan_json.listed(plan) for plan in plans], "links": links}

    async def make(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        document = await read_object(req)
        refuse_unknown(document, plan_json.MEMBERS)
        now = self._clock()
        try:
            selection, budgets = plan_json.selection(document), plan_json.budgets(document)
            layout = await layout_for(self._catalog, selection, self._longest)
            plan_id = new_plan_id(now, self._chance())
            made = await asyncio.to_thread(plan, selection, layout, budgets, plan_id=plan_id, created=now)
        except MoveRefused as refused:
            error = falcon.HTTPBadRequest if isinstance(refused, Misnamed) else falcon.HTTPConflict
            reason = _sentence(shown(str(refused)))
            raise error(title="No plan", description=f"{reason} Nothing was changed.") from refused
        except ValueError as error:
            raise falcon.HTTPBadRequest(title="Invalid plan", description=f"{error}.") from error
        await self._catalog.plans.insert(made)
        resp.status = falcon.HTTP_201
        resp.location = f"/v1/plans/{to_url(plan_id)}"
        await self._shown(resp, made)

    async def show(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, plan: str) -> None:
        await self._shown(resp, await whole_plan(self._catalog, await self._found(from_url(plan))))

    async def progress(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, plan: str) -> None:
        found = await self._found(from_url(plan))
        moves = [move async for move in all_moves(self._catalog, plan=found.id, states=UNFINISHED_STATES)]
        others = set(MoveOutcome) - {MoveOutcome.DONE}
        badly = await self._catalog.planned_moves.find(found.id, outcomes=others, limit=plan_json.TOLD)
        # Including counts that are not stored yet.
        numbers = [ending.number for ending in found.progress.endings if ending.outcome in others]
        if numbers:
            endings = {ending.number: ending for ending in found.progress.endings}
            late = await self._catalog.planned_moves.find(found.id, numbers=numbers, limit=len(numbers))
            known = {move.number for move in badly}
            badly += [replace(move, ending=endings[move.number]) for move in late if move.number not in known]
        badly.sort(key=lambda move: move.number)
        resp.media = plan_json.progress(found, moves, badly[: plan_json.TOLD])

    async def apply(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, plan: str) -> None:
        document = await read_object(req)
        refuse_unknown(document, ("hash",))
        found = await self._found(from_url(plan))
        if not isinstance(document.get("hash"), str):
            raise falcon.HTTPBadRequest(
                title="Invalid body", description="hash: is needed: that of the plan that was shown."
            )
        if document["hash"] != found.hash:
            raise _refused(found, "it is another plan than the one with the hash that was given")
        if found.state is not PlanState.RUNNING:
            found = await self._begin(found)
        # Only now, so that an apply that is overtaken changes nothing. A crash before leaves a plan that runs, while
        # its partitions go on taking new queues, which it does not move, or some of its tenants keep their pins. The
        # same apply goes on from there as long as the plan runs; after that another drain finds what is left.
        for name in found.preconditions["emptied"]:
            await self._cordon(name)
        resp.media = plan_json.listed(found) | await self._pin(found)

    async def _begin(self, found: MovePlan) -> MovePlan:
        """Start a plan that was not applied yet. Raises HTTPConflict, HTTPNotFound."""
        if found.state is not PlanState.PLANNED:
            raise _refused(found, f"it is {found.state}" + _HINTS.get(found.state, ""))
        whole = await whole_plan(self._catalog, found)
        changed = changes(whole, await layout_of(self._catalog, whole, self._longest))
        if changed:
            more = f"; and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
            raise _refused(found, f"since it was made, {shown('; '.join(changed[:_NAMED]))}{more}. Make a new one")
        return await self._turn(found, {PlanState.PLANNED}, PlanState.RUNNING, "applied")

    async def pause(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, plan: str) -> None:
        await self._decide(resp, plan, "paused")

    async def resume(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, plan: str) -> None:
        await self._decide(resp, plan, "resumed")

    async def stop(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, plan: str) -> None:
        await self._decide(resp, plan, "stopped")

    async def _decide(self, resp: falcon.asgi.Response, plan: str, verb: str) -> None:
        found = await self._found(from_url(plan))
        states, following = _VERBS[verb]
        resp.media = plan_json.listed(await self._turn(found, states, following, verb))

    async def _turn(self, found: MovePlan, states: Collection[PlanState], following: PlanState, verb: str) -> MovePlan:
        """Bring the plan into the state ``following``, from one of ``states``. Raises HTTPConflict, HTTPNotFound."""
        while found.state is not following:
            if found.state not in states:
                raise falcon.HTTPConflict(
                    title="Not now",
                    description=f"Plan {found.id} is {found.state}: it cannot be {verb}{_HINTS.get(found.state, '')}.",
                )
            changed = replace(found, state=following, version=found.version + 1)
            try:
                await self._catalog.plans.replace(changed)
            except PlanConflict as conflict:
                # Each retry means that a change of an executor succeeded. Their number is bounded.
                if conflict.current is None:
                    raise _not_found(found.id) from conflict
                found = conflict.current
            else:
                return changed
        return found

    async def _cordon(self, name: str) -> None:
        partition = await self._catalog.partitions.get(name)
        while partition is not None and partition.state is PartitionState.ENABLED:
            cordoned = replace(partition, state=PartitionState.CORDONED, version=partition.version + 1)
            try:
                await self._catalog.partitions.replace(cordoned)
            except PartitionConflict as conflict:
                partition = conflict.current
            else:
                return

    async def _pin(self, found: MovePlan) -> dict[str, int]:
        """Pin tenants as planned; return their number for the answer, nothing if the plan pins none."""
        selection = found.preconditions["selection"]
        repin = selection.get("repin")
        if repin is None:
            return {}
        if selection["kind"] == PlanKind.TENANT:
            await self._catalog.tenants.change(selection["subject"], members={"pinned": repin})
            return {"repinned": 1}
        return {"repinned": sum([await pins.change(self._catalog, n, repin) for n in found.preconditions["emptied"]])}

    async def _shown(self, resp: falcon.asgi.Response, found: WholePlan) -> None:
        measured = await past_pauses(self._catalog, self._clock())
        resp.media = plan_json.whole(found, hold_max=self._hold_max, seal_timeout=self._seal_timeout, measured=measured)

    async def _found(self, plan_id: str) -> MovePlan:
        found = await self._catalog.plans.get(plan_id)
        if found is None:
            raise _not_found(plan_id)
        return found


_HINTS = {
    PlanState.PLANNED: ": it was not applied",
    PlanState.PAUSED: ": it can be resumed or stopped",
    PlanState.STOPPED: ": make a new one; moves that it had begun go on",
    PlanState.DONE: "",
}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if ":" not in text.split(" ")[0] else f"{text}."


def _not_found(plan_id: str) -> falcon.HTTPNotFound:
    return falcon.HTTPNotFound(title="Not found", description=f"There is no plan {plan_id}.")


def _refused(found: MovePlan, reason: str) -> falcon.HTTPConflict:
    return falcon.HTTPConflict(
        title="Refused", description=f"Plan {found.id} is not applied: {reason}. Nothing was changed."
    )
