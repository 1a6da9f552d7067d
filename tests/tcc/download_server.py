"""A web server on 127.0.0.1 for the tests of downloads, which serves one file as badly as a test asks for."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List


@dataclass(frozen=True)
class Plan:
    """How one request is answered.

    Attributes:
      status: 200 also stands for 206 and 416, where a range is asked for.
      headers: sent beside, or in place of, the usual ones; None leaves one out.
      cut_after: bytes after which the connection is closed; all are announced.
      stall_after: bytes after which nothing comes, until the server is closed.
      chunked: send chunks and no length.
    """

    status: int = 200
    headers: Dict[str, Any] = field(default_factory=dict)
    cut_after: int = -1
    stall_after: int = -1
    chunked: bool = False


class FileServer:
    """Serves `content` under every path; answers the requests by `plans`, in turn, then by `plan`.

    Attributes:
      ranges, if_range: whether Range, and If-Range beside it, are heeded.
      requests: what came: path and headers (names in lower case) of each request.
    """

    def __init__(self, content: bytes, *plans: Plan, plan: Plan = Plan(), etag: str = '"one"') -> None:
        self.content, self.plans, self.plan, self.etag = content, list(plans), plan, etag
        self.ranges = self.if_range = True
        self.requests: List[Dict[str, str]] = []
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler_class())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/set/clips.tfrecord"

    @property
    def asked_ranges(self) -> List[str]:
        """The Range of each request; empty where it asked for the whole."""
        return [request.get("range", "") for request in self.requests]

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler_class(self) -> type:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append({"path": handler.path, **headers})
        plan = self.plans.pop(0) if self.plans else self.plan
        if plan.status != 200:
            self._send_head(handler, plan, plan.status, {"Content-Length": 0})
            return
        start = self._start(headers)
        if start >= len(self.content) > 0:
            self._send_head(handler, plan, 416, {"Content-Length": 0, "Content-Range": f"bytes */{len(self.content)}"})
            return
        self._send_head(handler, plan, 206 if start else 200, self._usual_headers(plan, start))
        try:
            self._send_body(handler, plan, self.content[start:])
        except OSError:  # the client has gone
            handler.close_connection = True

    def _start(self, headers: Dict[str, str]) -> int:
        same = not self.if_range or headers.get("if-range", self.etag) == self.etag
        if not (self.ranges and same and "range" in headers):
            return 0
        return int(headers["range"].replace("bytes=", "").rstrip("-"))

    def _usual_headers(self, plan: Plan, start: int) -> Dict[str, Any]:
        total = len(self.content)
        return {
            "ETag": self.etag or None,
            "Content-Length": None if plan.chunked else total - start,
            "Transfer-Encoding": "chunked" if plan.chunked else None,
            "Content-Range": f"bytes {start}-{total - 1}/{total}" if start else None,
        }

    @staticmethod
    def _send_head(handler: BaseHTTPRequestHandler, plan: Plan, status: int, usual: Dict[str, Any]) -> None:
        handler.send_response(status)
        for name, value in {**usual, **plan.headers}.items():
            if value is not None:
                handler.send_header(name, str(value))
        handler.end_headers()

    def _send_body(self, handler: BaseHTTPRequestHandler, plan: Plan, body: bytes) -> None:
        for limit in (plan.cut_after, plan.stall_after):
            body = body if limit < 0 else body[:limit]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) if plan.chunked else body)
        if plan.stall_after >= 0:
            self._closing.wait()
        if plan.chunked and plan.cut_after < 0:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = plan.cut_after >= 0 or plan.stall_after >= 0 or "Content-Length" in plan.headers
