"""What an endpoint may answer, and what becomes of it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.judges.endpoint import Endpoint, checked_url, wait_of
from lavit_eval.judges.protocol import OPENAI, Busy, JudgeOptions, Refused
from tests.judges.stub import KEY, Answer, options_for, reply, serving

MESSAGES = [{"role": "user", "content": "judge"}]


def asked(answer: Answer, **fields: object) -> object:
    """Ask a stub that answers so, and return the reply."""
    with serving(lambda request, number: answer) as stub:
        endpoint = Endpoint(options_for(stub.url, **fields))
        try:
            return endpoint.ask(MESSAGES, 64)
        finally:
            endpoint.close()


def test_a_request_has_temperature_0_and_the_key_in_its_header_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADE_KEY", KEY)
    with serving(lambda request, number: reply(f"the key is {KEY}")) as stub:
        endpoint = Endpoint(options_for(stub.url, key_variable="MADE_KEY"))
        found = endpoint.ask(MESSAGES, 64)
        endpoint.close()
    assert stub.requests == [{"model": "stub", "messages": MESSAGES, "temperature": 0, "max_tokens": 64}]
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert (found.text, found.served, found.prompt_tokens, found.completion_tokens) == (
        "the key is [key]", "stub-0613", 100, 10,
    )  # fmt: skip
    assert KEY not in repr(endpoint) + str(endpoint.identity()) + endpoint.name
    assert endpoint.identity() == {"kind": "endpoint", "model": "stub", "temperature": 0}


def test_without_a_key_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(lambda request, number: reply("x", usage=False)) as stub:
        endpoint = Endpoint(options_for(stub.url))
        assert endpoint.ask(MESSAGES, 64).prompt_tokens is None
        endpoint.close()
    assert "Authorization" not in stub.headers[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer("<html><body>Log in</body></html>", headers={"Content-Type": "text/html"}), "a web page instead"),
        (Answer("<!doctype html>"), "a web page instead"),
        (Answer('{"choices": [{"message": {"content": "ye'), "JSON that is cut"),
        (Answer(""), "JSON that is cut"),
        (Answer('{"choices": []}'), "without a message"),
        (Answer("[1]"), "without a message"),
        (Answer('{"choices": [{"message": {"content": ["yes"]}}]}'), "a message that is no text"),
        (Answer("{}", status=500), "answers 500"),
        (Answer('{"error": {"message": "come back later"}}', status=503), "answers 503 (come back later)"),
        (Answer("<html>busy</html>", status=502), "answers 502"),
        (reply("late", delay=1.0), "no answer within 0.3 s"),
        (reply("slow drip, byte by byte, each of them in time", dripping=True), "within 0.3 s"),
        (Answer(b"x" * (5 << 20)), "more than 4 MB"),
    ],
)
def test_what_may_be_better_next_time(answer: Answer, said: str) -> None:
    with pytest.raises(Busy) as caught:
        asked(answer, timeout=0.3)
    assert said in str(caught.value)
    assert "<" not in str(caught.value)


def test_an_empty_message_is_a_reply() -> None:
    assert asked(reply(None)).text == ""  # type: ignore[attr-defined]


def test_half_a_surrogate_pair_in_an_answer_reaches_the_judge() -> None:
    with serving(lambda request, number: reply("ok")) as stub:
        endpoint = Endpoint(options_for(stub.url))
        assert endpoint.ask([{"role": "user", "content": "\ud800 é"}], 8).text == "ok"
        endpoint.close()
    assert stub.requests[0]["messages"][0]["content"] == "\ud800 é"


def test_a_limit_of_the_rate_says_how_long_to_wait() -> None:
    with pytest.raises(Busy) as caught:
        asked(Answer('{"error": "slow down"}', status=429, headers={"Retry-After": "7"}))
    assert (caught.value.wait, caught.value.slow_down) == (7.0, True)
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < (wait_of(later) or 0) <= 30
    assert wait_of("-5") == 0.0 and wait_of("nan") is None and wait_of("soon") is None


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_single_request_may_be_refused(status: int) -> None:
    with pytest.raises(Refused, match=rf"answers {status} \(too long\)"):
        asked(Answer('{"error": {"message": "too\\nlong"}}', status=status))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer('{"error": {"message": "bad key sk-made-key-0123456789"}}', status=401), r"set \$MADE_KEY"),
        (Answer("{}", status=404), "check --judge-url"),
        (Answer("", status=307, headers={"Location": "http://elsewhere.example/v1"}), "give the final address"),
        (Answer('{"error": {"code": "insufficient_quota", "message": "pay"}}', status=429), "no credit left"),
    ],
)
def test_what_no_repetition_mends_ends_the_command(answer: Answer, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADE_KEY", KEY)
    with pytest.raises(UsageError, match=said) as caught:
        asked(answer, key_variable="MADE_KEY")
    assert KEY not in str(caught.value)


def test_nobody_there() -> None:
    with serving(lambda request, number: reply("x")) as stub:
        url = stub.url
    endpoint = Endpoint(options_for(url))
    with pytest.raises(Busy, match="cannot be reached"):
        endpoint.ask(MESSAGES, 64)
    endpoint.close()


def test_certificates_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(options_for("https://127.0.0.1:1/v1"))
    context = endpoint._client._transport._pool._ssl_context
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
    endpoint.close()


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://host/v1", "https://user:secret@host/v1", "https://host/v1?api-key=1", "http://[", ""],
)
def test_what_is_no_address_or_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--judge-url") as caught:
        checked_url(url)
    assert "secret" not in str(caught.value)


def test_a_key_is_wanted_where_it_is_named_and_travels_encrypted_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match=r"\$OPENAI_API_KEY, which is not set"):
        Endpoint(JudgeOptions("gpt", url=OPENAI, key_variable="OPENAI_API_KEY"))
    monkeypatch.setenv("MADE_KEY", KEY)
    with pytest.raises(UsageError, match="unencrypted"):
        Endpoint(options_for("http://judge.example/v1", key_variable="MADE_KEY"))
    monkeypatch.setenv("MADE_KEY", "two\nlines")
    with pytest.raises(UsageError, match="holds no key"):
        Endpoint(options_for("https://judge.example/v1", key_variable="MADE_KEY"))
