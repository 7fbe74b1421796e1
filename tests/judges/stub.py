"""A made endpoint on this machine, which answers as a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lavit_eval.judges.protocol import JudgeOptions

KEY = "sk-made-key-0123456789"


@dataclass(frozen=True)
class Answer:
    """What the endpoint sends back."""

    body: str | bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    dripping: bool = False
    """Whether the body comes byte by byte, so that no single wait is long."""


def reply(text: str | None, model: str = "stub-0613", usage: bool = True, **fields: Any) -> Answer:
    """Return an answer that holds a model's message."""
    document: dict[str, Any] = {"model": model, "choices": [{"message": {"role": "assistant", "content": text}}]}
    if usage:
        document["usage"] = {"prompt_tokens": 100, "completion_tokens": 10}
    return Answer(json.dumps(document), **fields)


Script = Callable[[dict[str, Any], int], Answer]
"""(request, its number from 1) -> the answer."""


class Stub:
    """The running endpoint and what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.flying = self.most_flying = 0
        self._lock = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                stub.answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def questions(self) -> list[str]:
        """Return the last message of every request but a ping."""
        said = [str(one["messages"][-1]["content"]) for one in self.requests]
        return [text for text in said if not text.startswith("Reply with the single word")]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        request = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.requests.append(request)
            self.headers.append(dict(handler.headers))
            self.flying += 1
            self.most_flying = max(self.most_flying, self.flying)
            number = len(self.requests)
        try:
            answer = self.script(request, number)
            time.sleep(answer.delay)
            content = answer.body if isinstance(answer.body, bytes) else answer.body.encode()
            handler.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            for piece in [content[i : i + 1] for i in range(len(content))] if answer.dripping else [content]:
                handler.wfile.write(piece)
                handler.wfile.flush()
                if answer.dripping:
                    time.sleep(0.02)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True
        finally:
            with self._lock:
                self.flying -= 1


@contextmanager
def serving(script: Script) -> Iterator[Stub]:
    """Run an endpoint for the length of a block."""
    stub = Stub(script)
    thread = threading.Thread(target=stub.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.server.shutdown()
        stub.server.server_close()
        thread.join()


def options_for(url: str, **fields: Any) -> JudgeOptions:
    """Return options of a judge at an address."""
    return JudgeOptions(**{"model": "stub", "url": url, "timeout": 5.0, "concurrency": 4, "attempts": 3, **fields})
