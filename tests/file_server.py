"""A file server on this machine that breaks off, lies about sizes, sends wrong bytes, redirects and refuses."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 4096  # 1 MB
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A file server whose faults are set by the test; `requests` holds the path and the headers of every request."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.etag = '"one"'
        self.ranges = True  # whether a part of the file can be asked for
        self.breaks: list[int] = []  # bytes after which each next answer ends
        self.claimed: int | None = None  # a size that is not true
        self.codes: list[int] = []  # statuses of the next answers
        self.redirect = ""
        self.needs_token = ""
        self.headers: dict[str, str] = {}  # instead of or beside the true ones
        self.pause = 0.0  # seconds after each 64 KiB
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}/net.bin"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_error: object) -> None:
        self.http.shutdown()
        self.http.server_close()

    def _handler(server: Server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_args: object) -> None:
                pass

        return Handler

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append((handler.path, dict(handler.headers)))
        if self.codes:
            handler.send_response(self.codes.pop(0))
            handler.end_headers()
            return
        if self.redirect and handler.path == "/net.bin":
            handler.send_response(302)
            handler.send_header("Location", self.redirect)
            handler.end_headers()
            return
        if self.needs_token and handler.headers.get("Authorization") != f"Bearer {self.needs_token}":
            handler.send_response(403)
            handler.end_headers()
            return
        self._send(handler)

    def _send(self, handler: BaseHTTPRequestHandler) -> None:
        start, size = 0, len(self.content)
        wanted_range = handler.headers.get("Range")
        if wanted_range and self.ranges and handler.headers.get("If-Range", self.etag) == self.etag:
            start = int(wanted_range.removeprefix("bytes=").removesuffix("-"))
            if start >= size:
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{size}")
                handler.end_headers()
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{self.claimed or size}")
        else:
            handler.send_response(200)
        headers = {"Content-Length": str((self.claimed or size) - start), "ETag": self.etag, **self.headers}
        for name, value in headers.items():
            handler.send_header(name, value.encode().decode("latin-1"))
        handler.end_headers()
        end = start + self.breaks.pop(0) if self.breaks else size
        handler.close_connection = True
        with contextlib.suppress(ConnectionError):  # the client has closed the connection
            self._write(handler, start, end)

    def _write(self, handler: BaseHTTPRequestHandler, start: int, end: int) -> None:
        for begin in range(start, end, 1 << 16):
            handler.wfile.write(self.content[begin : min(end, begin + (1 << 16))])
            time.sleep(self.pause)
