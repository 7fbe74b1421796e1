"""One file from one address: over https only, with timeouts and a few retries, flushed to disk and digested."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing
from email.message import Message
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from lavit_eval import __version__

TIMEOUT = 20.0
"""Seconds without a sign of life after which a connection is given up."""
PAUSES = (1.0, 4.0)
"""Seconds before each repeated attempt; one attempt more than pauses."""
CHUNK = 1 << 16
_PAGE = (b"<!doctype html", b"<html")

Told = Callable[[int, int | None], None]
"""Called with the bytes that have come and, where known, those that will."""


class DownloadError(Exception):
    """An address gives no such file; `str(error)` says why, as the end of a sentence about the address."""


class Unreachable(DownloadError):
    """No connection to the server: no network, no such host, or nobody answers there."""


class _Broken(DownloadError):
    """The transfer failed in a way that may not repeat itself."""


def download(url: str, path: Path, size: int | None, told: Told) -> str:
    """Write what an address gives into a file, flush it to disk, and return its SHA-256.

    A transfer that breaks off, a silent server and an overloaded one (429, 5xx) are tried again; a server that cannot
    be reached at all is not. What has come is digested on the way; whether it is the right file is the caller's to say.

    Args:
        url: An https address; plain http only of this very machine. Redirections must keep to that.
        path: Where to; overwritten, and left half written when this fails.
        size: In bytes where known: an answer of another length is refused, before it is transferred if it says so.
        told: Called after every piece.

    Raises:
        DownloadError: The address gives no such file (Unreachable: its server gives no answer).
        OSError: The file cannot be written.
    """
    if not _permitted(url):
        raise DownloadError("is no https address")
    for pause in PAUSES:
        try:
            return _attempt(url, path, size, told)
        except _Broken:
            time.sleep(pause)
    return _attempt(url, path, size, told)


def looks_like_a_page(start: bytes) -> bool:
    """Return whether a file that begins so is a web page, such as a share site gives instead of the file."""
    return start.lstrip(b"\xef\xbb\xbf \t\r\n")[:20].lower().startswith(_PAGE)


def _attempt(url: str, path: Path, size: int | None, told: Told) -> str:
    with closing(_opened(url)) as response, open(path, "wb") as stream:
        if response.headers.get_content_type() == "text/html":
            raise DownloadError("gives a web page instead of the file")
        length = response.headers["Content-Length"]
        announced = int(length) if length and length.isdigit() else None
        if size is not None and announced is not None and announced != size:
            raise DownloadError(f"gives {announced} bytes instead of {size}")
        digest = _copy(response, stream, size if announced is None else announced, told)
        stream.flush()
        os.fsync(stream.fileno())
    return digest


def _copy(response: HTTPResponse, stream: IO[bytes], expected: int | None, told: Told) -> str:
    digest, received = hashlib.sha256(), 0
    while chunk := _piece(response):
        if received == 0 and looks_like_a_page(chunk):
            raise DownloadError("gives a web page instead of the file")
        received += len(chunk)
        if expected is not None and received > expected:
            raise DownloadError(f"gives more than {expected} bytes")
        stream.write(chunk)
        digest.update(chunk)
        told(received, expected)
    if expected is not None and received < expected:
        raise _Broken(f"broke off after {received} of {expected} bytes")
    if received == 0:
        raise DownloadError("gives an empty file")
    return digest.hexdigest()


def _piece(response: HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK)
    except (OSError, HTTPException) as error:
        raise _Broken(f"broke off ({_reason(error)})") from error


def _opened(url: str) -> HTTPResponse:
    # No proxy lies between this machine and itself, whatever the environment says.
    handlers = [_Redirections(), *([ProxyHandler({})] if _is_loopback(url) else [])]
    request = Request(url, headers={"User-Agent": f"lavit-eval/{__version__}", "Accept-Encoding": "identity"})
    try:
        response: HTTPResponse = build_opener(*handlers).open(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        kind = _Broken if error.code == 429 or error.code >= 500 else DownloadError
        raise kind(f"answers {error.code} {error.reason}") from error
    except URLError as error:
        raise Unreachable(f"cannot be reached ({_reason(error.reason)})") from error
    except (OSError, HTTPException) as error:
        raise _Broken(f"gives no answer ({_reason(error)})") from error
    except ValueError as error:
        raise DownloadError(f"leads to no address ({error})") from error
    return response


class _Redirections(HTTPRedirectHandler):
    """Follows a redirection to https only, or from this machine to itself."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        if not _permitted(newurl) or (_is_loopback(newurl) and not _is_loopback(req.full_url)):
            fp.close()
            raise DownloadError(f"leads to {newurl}, which is no https address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _permitted(url: str) -> bool:
    return url.startswith("https://") or (url.startswith("http://") and _is_loopback(url))


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"silent for {TIMEOUT:g} s"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__


class Progress:
    """Says on standard error what is being fetched: one line, which on a terminal shows how far it is."""

    def __init__(self, name: str, url: str, size: int | None, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr
        self._name, self._server, self._size = name, urlsplit(url).netloc, size
        self._moving = self._stream.isatty()
        self._began = self._last = time.monotonic()

    def __enter__(self) -> Progress:
        size = f" ({megabytes(self._size)})" if self._size else ""
        self._say(f"{self._name}: fetching{size} from {self._server}")
        return self

    def told(self, received: int, expected: int | None) -> None:
        """Redraw the line if the last drawing is old enough."""
        now = time.monotonic()
        if self._moving and now - self._last >= 0.2:
            self._last = now
            whole = f" of {megabytes(expected)}" if expected else ""
            rate = received / (now - self._began)
            left = f", about {(expected - received) / rate:.0f} s left" if expected else ""
            self._say(f"{self._name}: {megabytes(received)}{whole}, {megabytes(int(rate))}/s{left}")

    def __exit__(self, *error: object) -> None:
        if self._moving:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _say(self, text: str) -> None:
        if self._moving:
            width = shutil.get_terminal_size((100, 24)).columns - 1
            self._stream.write(f"\r\x1b[K{text[:width]}")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()


def megabytes(size: int) -> str:
    """Return a size as people read it."""
    return f"{size / 1e6:.1f} MB"
