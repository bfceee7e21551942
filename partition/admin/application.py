"""The ASGI application of the admin listener: its one route, and the refusal of all other requests."""

from __future__ import annotations

from partition.admin import inventory
from partition.api.answer import Answer, error
from partition.api.application import Receive, Scope, Send, asgi_call, send_answer
from partition.api.call import Call
from partition.api.node import Node
from partition.api.refusals import Faults

PATH = "/v1/inventory"


class AdminApplication:
    """Serves ``node`` to its operator. ASGI 3 for HTTP."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._faults = Faults(node.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = asgi_call(scope, receive)
        try:
            answer = await self._answer(call)
        except Exception as fault:
            answer = self._faults.answer(fault, call)
        await send_answer(answer, send)

    async def _answer(self, call: Call) -> Answer:
        if call.path != PATH:
            return error(404, "404 Not Found", f"The only path here is {PATH}.")
        if call.method != "GET":
            return error(405, "405 Method Not Allowed", None, (b"allow", b"GET"))
        return await inventory.page(self._node, inventory.InventoryQuery.of(call.raw_query))
