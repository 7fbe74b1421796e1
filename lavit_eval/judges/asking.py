"""Asking a judge many things: several requests in flight, bounded repetition, nothing kept that was not said."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

from lavit_eval.errors import UsageError
from lavit_eval.judges.log import Judgement
from lavit_eval.judges.parsing import read
from lavit_eval.judges.protocol import Busy, Judge, Message, Reading, Refused, Reply

FIRST_PAUSE = 1.0
"""Seconds before a request is repeated; doubled each time."""
LONGEST_PAUSE = 60.0
LONGEST_WAIT = 300.0
"""Seconds that a judge may ask for (Retry-After); with more, the command ends and can be repeated later."""
UNREADABLE = 2
"""How often the same thing is asked when the reply cannot be read; with temperature 0 more would change little."""
AHEAD = 4
"""Requests that wait for each thread, so that none has to wait for the next one to be handed out."""
PING: tuple[Message, ...] = ({"role": "user", "content": "Reply with the single word yes."},)


@dataclass(frozen=True, slots=True)
class Question:
    """One request to a judge."""

    key: str
    messages: Sequence[Message]
    max_tokens: int
    reading: Reading


@dataclass(slots=True)
class Tally:
    """What became of the questions."""

    judged: int = 0
    unreadable: int = 0
    refused: int = 0
    unanswered: list[str] = field(default_factory=list)
    """Why no answer came, one entry per question; nothing is stored of these."""


class _Hold:
    """The moment before which nobody sends anything, since the judge asked for that."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop, self._lock, self._until = stop, threading.Lock(), 0.0

    def until(self, moment: float) -> None:
        with self._lock:
            self._until = max(self._until, moment)

    def wait(self) -> None:
        while (left := self._until - time.monotonic()) > 0 and not self._stop.is_set():
            self._stop.wait(left)


class Asking:
    """Puts questions to one judge.

    Args:
        judge: Is asked from several threads.
        attempts: How often one question is sent at most.
        keep: Stores a judgement; called from the threads that got the replies.
    """

    def __init__(self, judge: Judge, attempts: int, keep: Callable[[Judgement], None]) -> None:
        self._judge, self._attempts, self._keep = judge, attempts, keep
        self._stop = threading.Event()
        self._hold = _Hold(self._stop)
        self._stored, self._counting = 0, threading.Lock()

    def ask(self, questions: Sequence[Question], note: Callable[[int], None]) -> Tally:
        """Ask everything and say what became of it; `note` is told of every question that is done.

        An interruption lets the requests in flight end and keeps their replies. Raises UsageError where the judge
        answers nobody: not one question, or as many in a row as are in flight had no answer, or it says so itself.
        """
        tally = Tally()
        pool = ThreadPoolExecutor(self._judge.concurrency, thread_name_prefix="judge")
        try:
            answers = self._all(pool, iter(questions), tally, note)
        finally:
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        if not answers:
            raise UsageError(
                f"{self._judge.name} {tally.unanswered[-1]}; {self._stored} of {len(questions)} judgements are kept. "
                "See that it runs, and repeat the command to go on."
            )
        return tally

    def _all(
        self, pool: ThreadPoolExecutor, waiting: Iterator[Question], tally: Tally, note: Callable[[int], None]
    ) -> bool:
        """Ask until nothing waits; return whether the judge answers at all."""
        done: SimpleQueue[Future[_Found]] = SimpleQueue()
        flying = row = 0
        while True:
            while flying < AHEAD * self._judge.concurrency and (one := next(waiting, None)) is not None:
                pool.submit(self._one, one).add_done_callback(done.put)
                flying += 1
            if not flying:
                return self._stored > 0 or not tally.unanswered
            found = done.get().result()
            flying -= 1
            row = row + 1 if found.why is not None else 0
            _count(found, tally)
            note(1)
            if row >= max(3, self._judge.concurrency):
                return False

    def _one(self, question: Question) -> _Found:
        """Ask one question and keep what is said to it."""
        replies: list[Reply] = []
        why = "was not asked"
        for attempt in range(self._attempts):
            self._hold.wait()
            if self._stop.is_set():
                break
            try:
                replies.append(self._judge.ask(question.messages, question.max_tokens))
            except Busy as busy:
                why = str(busy)
                if attempt + 1 < self._attempts:
                    self._rest(busy, attempt, question.key)
                continue
            except Refused as refused:
                return self._kept(question, replies, str(refused))
            if read(replies[-1].text, question.reading).failed is None or len(replies) == UNREADABLE:
                break
        return self._kept(question, replies, None) if replies else _Found(why)

    def _kept(self, question: Question, replies: Sequence[Reply], refused: str | None) -> _Found:
        last = replies[-1] if replies else Reply("")
        judgement = Judgement(
            key=question.key,
            reply="" if refused else last.text,
            refused=refused,
            served=last.served,
            requests=max(1, len(replies)),
            prompt_tokens=_sum([one.prompt_tokens for one in replies]),
            completion_tokens=_sum([one.completion_tokens for one in replies]),
        )
        self._keep(judgement)
        with self._counting:
            self._stored += 1
        unreadable = not refused and read(last.text, question.reading).failed is not None
        return _Found(refused=refused is not None, unreadable=unreadable)

    def _rest(self, busy: Busy, attempt: int, key: str) -> None:
        """Wait before the next attempt: as long as the judge says, else longer each time, and not all at once."""
        if busy.wait is not None and busy.wait > LONGEST_WAIT:
            raise UsageError(
                f"{self._judge.name} {busy}, and wants to be asked again in {busy.wait:,.0f} s; repeat the command "
                "then: what was judged is kept."
            )
        pause = busy.wait or min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt) * _spread(key, attempt)
        if busy.slow_down:
            self._hold.until(time.monotonic() + pause)
        self._stop.wait(pause)


@dataclass(frozen=True, slots=True)
class _Found:
    """What became of one question."""

    why: str | None = None
    """Why there was no answer."""
    refused: bool = False
    unreadable: bool = False


def _count(found: _Found, tally: Tally) -> None:
    if found.why is not None:
        tally.unanswered.append(found.why)
    elif found.refused:
        tally.refused += 1
    elif found.unreadable:
        tally.unreadable += 1
    else:
        tally.judged += 1


def _spread(key: str, attempt: int) -> float:
    """Return a factor in [0.5, 1.5) that differs from question to question, and is the same in every run."""
    drawn = hashlib.sha256(f"{key}\x1f{attempt}".encode()).digest()[:4]
    return 0.5 + int.from_bytes(drawn, "big") / 2**32


def _sum(counts: Sequence[int | None]) -> int | None:
    """Return the sum; None where one is not known, 0 of none."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def ping(judge: Judge, attempts: int = 3) -> str | None:
    """Return why a judge does not answer a short question, one sentence with what to do; None where it does."""
    why = ""
    for attempt in range(attempts):
        try:
            judge.ask(PING, 8)
        except Busy as busy:
            why = str(busy)
            if attempt + 1 < attempts:
                time.sleep(min(LONGEST_PAUSE, busy.wait if busy.wait is not None else FIRST_PAUSE * 2.0**attempt))
        except Refused as refused:
            return f"{judge.name} {refused}; check --judge-model, or choose another judge."
        except UsageError as error:
            return str(error)
        else:
            return None
    return f"{judge.name} {why}; start it, or check --judge-url (leave the judge out: lavit-eval judge RUN later)."
