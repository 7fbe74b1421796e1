"""Weight files of made content, and a server on this machine that gives them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lavit_eval.weights import WeightFile

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = CONTENT[::-1]
PAGE = b"\n<!DOCTYPE html><html><body>Virus scan warning</body></html>"
REFUSED = b"weights of another network"


def scripted() -> bytes:
    """Return what looks like a TorchScript archive from outside."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("net/code/__torch__.py", "x = 1\n" * 1000)
    return made.getvalue()


SCRIPTED = scripted()
CODE_SHA256 = hashlib.sha256(SCRIPTED).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves what a test lays out and remembers what it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def gives(
        self, path: str, content: bytes, kind: str = "application/octet-stream", length: int | None = None
    ) -> str:
        def answer(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(content) if length is None else length))
            handler.end_headers()
            handler.wfile.write(content)

        self.answers[path] = answer
        return self.url(path)

    def says(self, path: str, code: int, **headers: str) -> str:
        def answer(handler: Handler) -> None:
            handler.send_response(code)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.answers[path] = answer
        return self.url(path)

    def in_turn(self, path: str, *paths: str) -> str:
        """Answer one path as others, one after another."""
        left = [self.answers[other] for other in paths]
        self.answers[path] = lambda handler: left.pop(0)(handler)
        return self.url(path)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        self.server.asked.append(path)
        if path in self.server.answers:
            self.server.answers[path](self)
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


Catalogue = Callable[..., None]
Run = Callable[..., tuple[int, str, str]]


def net(*urls: str, **fields: object) -> WeightFile:
    made = WeightFile("net.pt", urls or ("https://example.org/net.pt",), "MIT", "a test", len(CONTENT), SHA256)
    return replace(made, **fields)  # type: ignore[arg-type]


def code(*urls: str) -> WeightFile:
    return WeightFile("code.pt", urls or ("https://example.org/code.pt",), "MIT", "a test", carries_code=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
