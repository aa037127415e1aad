"""An application on a real port, in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ANSWER = "support.answer"


class Handler(WSGIRequestHandler):
    """Closes the answer when the reader goes away too; werkzeug does not if the reset comes before its own close."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        close = getattr((environ or {}).get(ANSWER), "close", None)
        if close is not None:
            close()


def remembering(app: WSGIApplication) -> WSGIApplication:
    """``app``, with each answer kept in its environ until it is sent."""

    def answered(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = environ[ANSWER] = app(environ, start_response)
        return answer

    return answered


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The address under which ``app`` is served in the block, on a free port."""
    server = make_server("127.0.0.1", 0, remembering(app), threaded=True, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
