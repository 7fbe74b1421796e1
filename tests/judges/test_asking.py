"""Many questions at once: bounded repetition, waiting when told to, giving up when nobody answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.judges import asking
from lavit_eval.judges.asking import Asking, Question, Tally, ping
from lavit_eval.judges.endpoint import Endpoint
from lavit_eval.judges.log import Judgement
from lavit_eval.judges.protocol import Busy, Message, Refused, Reply
from tests.judges.stub import Answer, Script, options_for, reply, serving

GOOD = '{"pred": "yes", "score": 4}'


def questions(count: int) -> list[Question]:
    return [
        Question(f"key {n}", [{"role": "user", "content": f"question {n}"}], 64, "yes_no_score") for n in range(count)
    ]


def run(script: Script, count: int, **fields: object) -> tuple[Tally, dict[str, Judgement], list[str], int]:
    """Ask a stub; return tally, what was kept, what was asked, and the most requests in flight."""
    kept: dict[str, Judgement] = {}
    options = options_for("http://127.0.0.1:1/v1", **fields)
    with serving(script) as stub:
        endpoint = Endpoint(options_for(stub.url, **fields))
        try:
            tally = Asking(endpoint, options.attempts, lambda one: kept.update({one.key: one})).ask(
                questions(count), lambda _: None
            )
        finally:
            endpoint.close()
        return tally, kept, stub.questions(), stub.most_flying


def test_everything_is_asked_once_and_kept() -> None:
    tally, kept, asked, most = run(lambda request, number: reply(GOOD, delay=0.02), 30, concurrency=5)
    assert (tally.judged, tally.unreadable, tally.refused, tally.unanswered) == (30, 0, 0, [])
    assert sorted(asked) == sorted(f"question {n}" for n in range(30))
    assert kept["key 7"] == Judgement("key 7", GOOD, served="stub-0613", prompt_tokens=100, completion_tokens=10)
    assert 2 <= most <= 5


@pytest.mark.parametrize(
    "bad",
    [
        Answer("", status=500),
        Answer("<html>", status=502),
        Answer("<html>Sorry</html>"),
        Answer('{"choices": [{"mess'),
        Answer("{}", status=429, headers={"Retry-After": "0"}),
        Answer("{}", status=429),
    ],
)
def test_a_bad_moment_passes(bad: Answer) -> None:
    tally, kept, asked, _ = run(lambda request, number: bad if number <= 2 else reply(GOOD), 2, concurrency=1)
    assert (tally.judged, len(kept), len(asked)) == (2, 2, 4)


def test_the_wait_that_a_judge_asks_for_is_kept_by_all() -> None:
    times: list[float] = []

    def script(request: dict[str, object], number: int) -> Answer:
        times.append(time.monotonic())
        if number == 1:
            return Answer("{}", status=429, headers={"Retry-After": "0.4"})
        return reply(GOOD, delay=0.05)

    tally, *_ = run(script, 8, concurrency=2)
    assert tally.judged == 8
    # The second thread may have sent its first request already; nobody sends another before the time is over.
    assert len([one for one in times[1:] if one < times[0] + 0.38]) <= 1


def test_a_judge_that_wants_to_be_left_alone_for_long_ends_the_command() -> None:
    with pytest.raises(UsageError, match="asked again in 3,600 s; repeat the command"):
        run(lambda request, number: Answer("{}", status=429, headers={"Retry-After": "3600"}), 3)


def test_a_judge_that_is_down_ends_the_command_and_what_was_said_is_kept() -> None:
    kept: list[Judgement] = []
    with serving(lambda request, number: reply(GOOD) if number <= 5 else Answer("", status=503)) as stub:
        endpoint = Endpoint(options_for(stub.url, concurrency=2, attempts=2))
        with pytest.raises(UsageError, match=r"answers 503; 5 of 200 judgements are kept\. See that it runs"):
            Asking(endpoint, 2, kept.append).ask(questions(200), lambda _: None)
        endpoint.close()
        assert len(stub.requests) < 40
    assert len(kept) == 5


def test_a_reply_that_cannot_be_read_is_asked_for_once_more_and_then_kept_as_it_is() -> None:
    tally, kept, asked, _ = run(lambda request, number: reply("I would say it is right."), 1, attempts=5)
    assert (tally.judged, tally.unreadable, len(asked)) == (0, 1, 2)
    one = kept["key 0"]
    assert (one.reply, one.requests, one.prompt_tokens, one.completion_tokens) == (
        "I would say it is right.",
        2,
        200,
        20,
    )
    tally, kept, asked, _ = run(lambda request, number: reply("?") if number == 1 else reply(GOOD), 1)
    assert (tally.judged, kept["key 0"].reply, kept["key 0"].requests) == (1, GOOD, 2)


def test_a_refusal_concerns_one_question_only() -> None:
    def script(request: dict[str, object], number: int) -> Answer:
        bad = "question 3" in json.dumps(request)
        return Answer('{"error": {"message": "filtered"}}', status=400) if bad else reply(GOOD)

    tally, kept, asked, _ = run(script, 6)
    assert (tally.judged, tally.refused, len(asked)) == (5, 1, 6)
    assert kept["key 3"].refused == "answers 400 (filtered)"
    assert (kept["key 3"].prompt_tokens, kept["key 3"].completion_tokens) == (0, 0)


def test_what_gets_no_answer_is_not_kept() -> None:
    def script(request: dict[str, object], number: int) -> Answer:
        return Answer("", status=500) if "question 2" in json.dumps(request) else reply(GOOD)

    tally, kept, asked, _ = run(script, 4)
    assert (tally.judged, tally.unanswered, set(kept)) == (3, ["answers 500"], {"key 0", "key 1", "key 3"})
    assert len(asked) == 3 + 3


def test_a_wrong_key_ends_the_command_at_once() -> None:
    with pytest.raises(UsageError, match="does not accept the key"):
        run(lambda request, number: Answer("{}", status=401), 100)


class Scripted:
    """A judge without a server."""

    concurrency = 2
    name = "the judge"

    def __init__(self, *said: Reply | Exception) -> None:
        self.said = list(said)
        self.gate = threading.Event()
        self.asked = 0

    def identity(self) -> Mapping[str, object]:
        return {}

    def ask(self, messages: Sequence[Message], max_tokens: int) -> Reply:
        self.asked += 1
        one = self.said.pop(0) if self.said else Reply(GOOD)
        if isinstance(one, Exception):
            raise one
        return one

    def close(self) -> None:
        """Nothing is held."""


def test_an_interruption_keeps_what_is_in_flight_and_sends_nothing_more() -> None:
    judge, kept = Scripted(), []
    entered = threading.Barrier(3)

    def ask(messages: Sequence[Message], max_tokens: int) -> Reply:
        if judge.asked < 2:
            judge.asked += 1
            entered.wait(5)
            judge.gate.wait(5)
            return Reply(GOOD)
        judge.asked += 1
        return Reply(GOOD)

    judge.ask = ask  # type: ignore[method-assign]
    threading.Thread(target=lambda: (entered.wait(5), time.sleep(0.1), judge.gate.set())).start()

    class Killed(BaseException):
        pass

    def note(_: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        Asking(judge, 3, kept.append).ask(questions(500), note)
    assert 2 <= len(kept) == judge.asked < 500


def test_a_store_that_fails_ends_the_command() -> None:
    def full(_: Judgement) -> None:
        raise UsageError("disk full")

    with pytest.raises(UsageError, match="disk full"):
        Asking(Scripted(), 3, full).ask(questions(50), lambda _: None)


def test_pauses_grow_and_differ_between_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 1.0)
    pauses: list[float] = []
    one = Asking(Scripted(), 5, lambda _: None)
    monkeypatch.setattr(one._stop, "wait", lambda seconds: pauses.append(seconds) or False)
    for attempt in range(9):
        one._rest(Busy("x"), attempt, "key")
    one._rest(Busy("x"), 0, "another")
    assert all(0.5 * 2**n <= pause < 1.5 * 2**n for n, pause in enumerate(pauses[:6]))
    assert max(pauses) <= 90 and pauses[0] != pauses[-1]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ([], None),
        ([Busy("answers 429", 0.0), Reply("")], None),
        ([Busy("cannot be reached (refused)")] * 3, "the judge cannot be reached (refused); start it"),
        ([Refused("answers 400 (no such model)")], "check --judge-model"),
        ([UsageError("no key")], "no key"),
    ],
)
def test_a_ping_says_what_is_wrong(said: list[Reply | Exception], problem: str | None) -> None:
    found = ping(Scripted(*said))
    assert found is None if problem is None else found is not None and problem in found
