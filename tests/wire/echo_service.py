"""A stand-in for the public API, run as a program: answers with what the protocol made of the request.

``python echo_service.py OPTION=VALUE...``; ``/slow`` answers when ``/go`` was called, ``/unread`` without reading.
"""

from __future__ import annotations

import asyncio
import json
import sys

from marconi_proxy import options
from marconi_proxy.serving.listener import bind, bound
from marconi_proxy.serving.server import Listener, configure_logging


def make_application(conf):
    go = asyncio.Event()

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                phase = (await receive())["type"].removeprefix("lifespan.")
                if phase == "shutdown":
                    print("application shut down", file=sys.stderr, flush=True)
                await send({"type": f"lifespan.{phase}.complete"})
                if phase == "shutdown":
                    return
        if scope["path"] == "/slow":
            await go.wait()
        if scope["path"] == "/go":
            go.set()
        size = 0
        more = scope["path"] != "/unread"
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                print("application saw a disconnect", file=sys.stderr, flush=True)
                return
            size += len(event["body"])
            more = event["more_body"]
        body = json.dumps({"target": scope["target"].decode("latin-1"), "path": scope["path"], "size": size}).encode()
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application


def main() -> None:
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    overrides = {
        "public.bind": "127.0.0.1:0",
        "public.workers": "1",
        "catalog.uri": "sqlite:////unused",
        "public.drain_time": "0",
        **given,
    }
    conf = options.load(overrides=overrides)
    configure_logging(conf.log.level)
    listener = bind(conf.public.bind, "[public] bind")
    print(f"listening on {bound(listener).port}", file=sys.stderr, flush=True)
    Listener(conf, "public", make_application, f"fd://{listener.detach()}").run()


if __name__ == "__main__":
    main()
