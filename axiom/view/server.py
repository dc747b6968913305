"""The local server of the sample browser: reads only, on the loopback address, for a browser on this machine.

    /                          the page
    /app.js, /style.css, ...   what it is made of
    /data/runs                 the runs' names
    /data/RUN                  a run's problems
    /data/RUN/index            a chunk for each table of samples
    /data/RUN/marks            the marks of the chunks, which the page asks for again while the run goes on
    /data/RUN/sample/7/train/0 one sample
    /data/RUN/problem/3        one problem
    /data/RUN/search?q=TEXT    rows whose text holds TEXT

A request must name this machine as its host, so that no web page can reach the data by a name of its own; a run must be
one of those that were opened, so a path cannot lead elsewhere; and the page may load nothing but itself.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from axiom.errors import UserError
from axiom.report.render import as_json, asset, render
from axiom.view import HOST
from axiom.view.samples import PURPOSES, Run

HOSTS = (HOST, "localhost")
MOST_TEXT = 1_000
"""Characters of a text that is searched for."""
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
FILES = {
    "page.css": "text/css",
    "browser.css": "text/css",
    "highlight.js": "text/javascript",
    "difference.js": "text/javascript",
    "live.js": "text/javascript",
    "browser.js": "text/javascript",
}


def application(runs: Mapping[str, Run], look: Callable[[], None] = lambda: None) -> Starlette:
    """The server as an ASGI application, for the runs by their names. `look` adds those that have begun meanwhile."""

    def answer(value: Any, status: int = 200) -> Response:
        return Response(as_json(value), status, media_type="application/json")

    def fault(_: Request, error: Exception) -> Response:
        return answer({"why": str(error)}, 500)

    def run_of(request: Request) -> Run:
        found = runs.get(request.path_params["run"])
        if found is None:
            raise HTTPException(404, "no such run was opened")
        return found

    def page(_: Request) -> Response:
        return Response(render("browser.html", source="live.js"), media_type="text/html")

    def file(request: Request) -> Response:
        name = request.path_params["file"]
        if name not in FILES:
            raise HTTPException(404, "no such file")
        return Response(asset(name), media_type=FILES[name])

    def names(_: Request) -> Response:
        look()
        return answer(list(runs))

    def head(request: Request) -> Response:
        return answer(run_of(request).head())

    def index(request: Request) -> Response:
        run = run_of(request)
        return answer({"chunks": run.index(), "running": run.experiment.is_locked()})

    def marks(request: Request) -> Response:
        run = run_of(request)
        return answer({"marks": run.marks(), "running": run.experiment.is_locked()})

    def sample(request: Request) -> Response:
        at = request.path_params
        purpose = at["purpose"]
        found = run_of(request).sample(at["iteration"], purpose, at["row"]) if purpose in PURPOSES else None
        if found is None:
            raise HTTPException(404, "no such sample")
        return answer(found)

    def problem(request: Request) -> Response:
        run, number = run_of(request), request.path_params["number"]
        if number >= len(run.problems):
            raise HTTPException(404, "no such problem")
        return answer(run.problem(number))

    def search(request: Request) -> Response:
        text = request.query_params.get("q", "")[:MOST_TEXT]
        return answer(run_of(request).search(text) if text else [])

    routes = [
        Route("/", page),
        Route("/{file}", file),
        Route("/data/runs", names),
        Route("/data/{run}", head),
        Route("/data/{run}/index", index),
        Route("/data/{run}/marks", marks),
        Route("/data/{run}/sample/{iteration:int}/{purpose}/{row:int}", sample),
        Route("/data/{run}/problem/{number:int}", problem),
        Route("/data/{run}/search", search),
    ]
    middleware = [
        Middleware(Guarded),
        Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False),
    ]
    return Starlette(routes=routes, middleware=middleware, exception_handlers={UserError: fault})


class Guarded:
    """Adds the headers that keep a page to itself, to every answer."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on and add to the head of its answer."""

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        await self.app(scope, receive, guarded)


def serve(
    runs: Mapping[str, Run], port: int, ready: Callable[[str], None], look: Callable[[], None] = lambda: None
) -> None:
    """Serve until the user ends it; `ready` is given the address, `look` is as for `application`.

    Raises OSError where the port is taken.
    """
    import asyncio
    import socket
    import threading

    import uvicorn

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # before the address is told: a browser that is quicker than the server waits
        ready(f"http://{HOST}:{listener.getsockname()[1]}/")
        threading.Thread(target=_prepare, args=(runs,), daemon=True).start()
        config = uvicorn.Config(application(runs, look), log_level="warning", server_header=False)
        asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
    finally:
        listener.close()


def _prepare(runs: Mapping[str, Run]) -> None:
    """Read the indexes before they are asked for; what fails here fails again where somebody sees it."""
    with contextlib.suppress(UserError, OSError):
        for run in [*runs.values()]:
            run.index()
