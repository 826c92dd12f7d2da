"""The live page over HTTP: it can be read, and nothing can be written or called through it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from string import Template
from typing import Any

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.web import asset
from endosfm3d_ros.web.board import Board

MAX_READERS = 8  # pages at a time: each costs a thread
BEAT = 1.0  # s between signs of life where nothing changes
POLICY = "default-src 'none'; img-src 'self' blob:; style-src 'unsafe-inline'; " \
         "script-src 'unsafe-inline'; connect-src 'self'"  # fmt: skip


class PageServer:
    """Serves a board until `close`.

    Args:
        board: what is shown.
        host: address to listen on; only this machine reaches 127.0.0.1.
        port: 0 takes a free one.

    Raises:
        ConfigurationError: the port is taken, or the address is none of this machine.
    """

    def __init__(self, board: Board, host: str, port: int) -> None:
        self._board = board
        try:
            self._server = _Server((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"--host {host} --port {port}: {error}") from error
        self._server.board = board
        self._server.readers = threading.BoundedSemaphore(MAX_READERS)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="page", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """For the browser."""
        host, port = self._server.server_address[:2]
        return f"http://{host}:{port}/"

    def close(self) -> None:
        """No request is answered any more."""
        self._board.close()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    board: Board
    readers: threading.BoundedSemaphore

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that was closed is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 10.0  # s for a request to come in

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer("text/html; charset=utf-8", page().encode())
        elif path == "/changes":
            self._stream()
        elif path.startswith("/part/"):
            part = self.server.board.get(path.removeprefix("/part/"))
            if part is None:
                self.send_error(404)
            else:
                self._answer(part.kind, part.content)
        else:
            self.send_error(404)

    def _answer(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _stream(self) -> None:
        """Numbers of parts as they change, until the page is closed."""
        if not self.server.readers.acquire(blocking=False):
            self.send_error(503, f"{MAX_READERS} pages are open already")
            return
        board = self.server.board
        board.enter()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Connection", "close")
            self.end_headers()
            since = 0
            while not board.closed:
                changed = board.changes(since, BEAT)
                since = max(changed.values(), default=since)
                self.wfile.write(f"data: {json.dumps(changed)}\n\n".encode())
                self.wfile.flush()
        finally:
            board.leave()
            self.server.readers.release()

    def log_message(self, *_: object) -> None:
        """Requests are not worth a line."""


def page() -> str:
    """The page itself."""
    values = {name: asset(f"{name}.{kind}") for name, kind in
              (("style", "css"), ("viewer", "js"), ("live", "js"))}  # fmt: skip
    return Template(asset("live.html")).substitute(values)
