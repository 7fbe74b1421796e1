"""A judge behind an OpenAI-compatible endpoint: a hosted one, or a server such as vLLM on one's own machine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from lavit_eval import __version__
from lavit_eval.errors import UsageError
from lavit_eval.judges.protocol import Busy, JudgeOptions, Message, Refused, Reply
from lavit_eval.sample import JSON

MOST_BYTES = 4 << 20
"""Of an answer; a grade has a few hundred."""
SAID = 160
"""Characters of a server's own words that a sentence takes over."""
BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
NOT_THIS_ONE = frozenset({400, 413, 422, 451})
"""What servers answer to a single request: too long, or held back by a filter."""


class Endpoint:
    """Asks an endpoint with temperature 0, over verified TLS, without following redirections.

    The key is read from an environment variable, goes into the header of a request and nowhere else; where a server
    repeats it in an answer, it is blotted out.
    """

    def __init__(self, options: JudgeOptions) -> None:
        self._httpx = _client_library()
        self._model, self._timeout = options.model, options.timeout
        self._address = f"{checked_url(options.url)}/chat/completions"
        self._key = _key_of(options)
        self._variable = options.key_variable
        self._limited = {} if options.max_tokens is None else {"max_tokens": options.max_tokens}
        self.concurrency = options.concurrency
        self.name = f"the judge {options.model} at {options.url}"
        self._client = self._httpx.Client(
            # No proxy lies between this machine and itself, whatever the environment says.
            trust_env=not _is_loopback(options.url),
            follow_redirects=False,
            timeout=self._httpx.Timeout(options.timeout, connect=min(options.timeout, 20.0), pool=None),
            limits=self._httpx.Limits(
                max_connections=options.concurrency, max_keepalive_connections=options.concurrency
            ),
            headers={"User-Agent": f"lavit-eval/{__version__}", "Accept": "application/json"},
        )

    def identity(self) -> Mapping[str, JSON]:
        """Return kind, model and temperature; the address is no part of it."""
        return {"kind": "endpoint", "model": self._model, "temperature": 0, **self._limited}

    def ask(self, messages: Sequence[Message], max_tokens: int) -> Reply:
        """Return the reply (raises Busy, Refused; UsageError where no request can be answered)."""
        body = {"model": self._model, "messages": list(messages), "temperature": 0, "max_tokens": max_tokens}
        try:
            status, headers, content = self._sent(body)
        except self._httpx.TimeoutException as error:
            raise Busy(f"gave no answer within {self._timeout:g} s") from error
        except self._httpx.ConnectError as error:
            raise Busy(f"cannot be reached ({self._clean(str(error))})") from error
        except self._httpx.HTTPError as error:
            raise Busy(f"broke off ({self._clean(str(error)) or type(error).__name__})") from error
        if status != 200:
            self._complain(status, headers, content)
        return self._reply(headers, content)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _sent(self, body: Mapping[str, JSON]) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request and read its answer; both together may take the time allowed, not each piece of it."""
        ends = time.monotonic() + self._timeout
        headers = {
            "Content-Type": "application/json",
            **({"Authorization": f"Bearer {self._key}"} if self._key else {}),
        }
        # ASCII with escapes: half of a surrogate pair in an answer is no reason to fail.
        sent, content = json.dumps(body).encode(), bytearray()
        with self._client.stream("POST", self._address, content=sent, headers=headers) as response:
            for piece in response.iter_bytes():
                content += piece
                if len(content) > MOST_BYTES:
                    raise Busy(f"gives more than {MOST_BYTES >> 20} MB")
                if time.monotonic() > ends:
                    raise Busy(f"gave no whole answer within {self._timeout:g} s")
            return response.status_code, response.headers, bytes(content)

    def _reply(self, headers: Mapping[str, str], content: bytes) -> Reply:
        try:
            answer = json.loads(content)
        except ValueError as error:
            page = "html" in headers.get("content-type", "").lower() or content.lstrip()[:1] == b"<"
            raise Busy("gives a web page instead of JSON" if page else "gives JSON that is cut or damaged") from error
        try:
            text = answer["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError) as error:
            raise Busy("gives JSON without a message of its model") from error
        if not isinstance(text, str | None):
            raise Busy("gives a message that is no text")
        usage = answer.get("usage")
        counts = usage if isinstance(usage, dict) else {}
        served = answer.get("model")
        return Reply(
            text=self._blotted(text or ""),
            served=served if isinstance(served, str) else None,
            prompt_tokens=_count(counts.get("prompt_tokens")),
            completion_tokens=_count(counts.get("completion_tokens")),
        )

    def _complain(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        """Raise what an answer other than 200 means."""
        said = self._clean(_message_in(content))
        told = f"answers {status}{f' ({said})' if said else ''}"
        if status == 429 and "insufficient_quota" in content.decode("utf-8", "replace"):
            raise UsageError(f"{self.name} {told}: the account has no credit left; mend that and repeat the command.")
        if status in BUSY:
            raise Busy(told, wait_of(headers.get("retry-after")), slow_down=status in (429, 503, 529))
        if status in NOT_THIS_ONE:
            raise Refused(told)
        if status in (401, 403):
            named = f"set ${self._variable} to a valid key" if self._variable else "name its variable: --judge-key-env"
            raise UsageError(f"{self.name} {told}: it does not accept the key; {named}.")
        if 300 <= status < 400:
            raise UsageError(f"{self.name} answers {status} and leads elsewhere; give the final address: --judge-url")
        raise UsageError(f"{self.name} {told}; check --judge-url (it ends in /v1 as a rule) and --judge-model.")

    def _clean(self, text: str) -> str:
        """Return a server's words fit for one line."""
        line = " ".join(self._blotted(text).split())
        return "".join(sign for sign in line if sign.isprintable())[:SAID]

    def _blotted(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _client_library() -> Any:
    try:
        import httpx2
    except ImportError:
        raise UsageError("A judge's endpoint needs httpx2; install it: pip install 'lavit-eval[judge]'") from None
    return httpx2


def checked_url(url: str) -> str:
    """Return an endpoint's address without a slash at its end (raises UsageError for what must not be one)."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UsageError("--judge-url is no address; give one such as http://localhost:8000/v1") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            "--judge-url must hold no user name, password or query, which would be recorded; put the key into an "
            "environment variable and name it: --judge-key-env"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"--judge-url {url!r} is no address; give one such as http://localhost:8000/v1")
    return url.rstrip("/").removesuffix("/chat/completions")


def _key_of(options: JudgeOptions) -> str:
    if options.key_variable is None:
        return ""
    key = os.environ.get(options.key_variable, "").strip()
    if not key:
        raise UsageError(
            f"The key of the judge at {options.url} is read from ${options.key_variable}, which is not set; set it, "
            "or name another variable: --judge-key-env"
        )
    if not key.isascii() or not key.isprintable():
        raise UsageError(f"${options.key_variable} holds no key (line breaks or letters beyond ASCII); set it anew.")
    if urlsplit(options.url).scheme != "https" and not _is_loopback(options.url):
        raise UsageError(
            f"The key in ${options.key_variable} would travel to {options.url} unencrypted; give an https address, or "
            "a server that needs no key."
        )
    return key


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def wait_of(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or as a date; None where it says nothing.

    >>> wait_of("2.5"), wait_of("soon"), wait_of(None)
    (2.5, None, None)
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except ValueError:
            return None
        aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        seconds = (aware - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if seconds == seconds else None


def _message_in(content: bytes) -> str:
    try:
        answer = json.loads(content)
    except ValueError:
        return "" if content.lstrip()[:1] == b"<" else content[:SAID].decode("utf-8", "replace")
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    said = error.get("message", "") if isinstance(error, dict) else error
    return said if isinstance(said, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
