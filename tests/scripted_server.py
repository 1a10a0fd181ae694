"""A chat completions service on loopback that does what a script says, faults included."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Step = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One connection; every POST takes the script's next step."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Service
    body: dict[str, Any]
    """What was asked."""

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(self.body)
        step = self.server.script.popleft() if self.server.script else status(500, "the script is at its end")
        step(self)

    def send(self, code: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Service(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: deque[Step] = deque()
        self.requests: list[dict[str, Any]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that gave up


@contextmanager
def running() -> Iterator[Service]:
    with Service() as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            service.closing.set()
            service.shutdown()
            thread.join()


# ---------------------------------------------------------------------------------------------------- steps of a script

USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 60}}


def says(content: Any, *, finish: Any = "stop", refusal: str | None = None, usage: Any = USAGE, **fields: Any) -> Step:
    """A reply; `fields` are further ones of its message, such as reasoning_content."""
    message = {"role": "assistant", "content": content, "refusal": refusal, **fields}
    reply = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "scripted-1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage,
    }
    return sends(200, json.dumps(reply).encode())


def sends_json(body: Any, code: int = 200) -> Step:
    return sends(code, json.dumps(body).encode())


def sends(code: int, body: bytes, headers: Mapping[str, str] | None = None) -> Step:
    return lambda handler: handler.send(code, body, headers)


def status(http_code: int, message: str, headers: Mapping[str, str] | None = None, **error: Any) -> Step:
    return sends(http_code, json.dumps({"error": {"message": message, **error}}).encode(), headers)


def hangs(handler: Handler) -> None:
    handler.server.closing.wait(60)
    handler.close_connection = True


def drops(handler: Handler) -> None:
    handler.close_connection = True


def drops_half_way(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def drips(handler: Handler) -> None:
    """Sends a byte now and then, so that no single read is late."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    while not handler.server.closing.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def echoes(code: int) -> Step:
    """Says back what it was sent, the key included, as a debugging proxy might; slashes escaped as PHP does."""

    def step(handler: Handler) -> None:
        key = handler.headers["Authorization"]
        reply = {
            "model": key,
            "choices": [{"message": {"content": f"You sent {key}", key: key}, "finish_reason": "stop"}],
            "error": {"message": "x" * 985 + f" you sent {key}", "param": key, "code": key},
        }
        handler.send(code, json.dumps(reply).replace("/", r"\/").encode(), {"X-Echo": key})

    return step
