"""What runs in a Ray actor: a session, spoken to in lines of JSON as any other worker."""

from __future__ import annotations

from lavit_eval.engines.messages import from_line, to_line
from lavit_eval.engines.session import Session


class RayActor:
    """Answers one driver; Ray ends it when that driver is gone."""

    def __init__(self) -> None:
        self._session = Session()

    def handle(self, line: str) -> str:
        """Return the reply to a message, empty where there is none.

        The model hears of a lease only when its turn has come, but then also of those that will probably follow.
        """
        message = from_line(line)
        self._session.foresee(message)
        reply = self._session.handle(message)
        return "" if reply is None else to_line(reply)
