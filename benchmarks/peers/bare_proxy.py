"""The least that a proxy on trio and h11 takes: ``python -m benchmarks.peers.bare_proxy URL``.

It reads a request, sends it on over a connection that is kept, and passes the answer back. It has no limits, no time-outs, no errors, no
leases, and does not look into a body: the floor under ``python -m benchmarks.gateway``.
"""

from __future__ import annotations

import sys
from functools import partial
from urllib.parse import urlsplit

import h11
import trio

__all__ = ["main"]

Side = tuple[trio.SocketStream, h11.Connection]
Event = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


async def _next(side: Side) -> Event:
    stream, http = side
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(await stream.receive_some(65536))
    return event


async def _say(side: Side, *events: h11.Event) -> None:
    stream, http = side
    await stream.send_all(b"".join(http.send(event) or b"" for event in events))


async def _pass(client: Side, server: Side, request: h11.Request) -> None:
    body = b""
    while isinstance(event := await _next(client), h11.Data):
        body += event.data
    headers = [pair for pair in request.headers if pair[0] != b"host"]
    asked = h11.Request(method=request.method, target=request.target, headers=[*headers, (b"host", b"server")])
    await _say(server, asked, h11.Data(data=body), h11.EndOfMessage())
    while isinstance(event := await _next(server), h11.Response | h11.Data):
        if isinstance(event, h11.Response):
            event = h11.Response(status_code=event.status_code, headers=event.headers)
        await _say(client, event)
    await _say(client, h11.EndOfMessage())


async def _serve(host: str, port: int, idle: list[Side], stream: trio.SocketStream) -> None:
    client = (stream, h11.Connection(h11.SERVER))
    try:
        while isinstance(request := await _next(client), h11.Request):
            while idle and idle[-1][0].socket.is_readable():  # the server has closed it
                idle.pop()
            server = idle.pop() if idle else (await trio.open_tcp_stream(host, port), h11.Connection(h11.CLIENT))
            await _pass(client, server, request)
            server[1].start_next_cycle()
            client[1].start_next_cycle()
            idle.append(server)
    except trio.BrokenResourceError:
        pass
    finally:
        await trio.aclose_forcefully(stream)


async def main(url: str) -> None:
    """Serve on a free port, and say which."""
    parts, idle = urlsplit(url), list[Side]()
    async with trio.open_nursery() as nursery:
        serve = partial(_serve, parts.hostname or "", parts.port or 80, idle)
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        print(f"listening on http://127.0.0.1:{listener.socket.getsockname()[1]}", flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
