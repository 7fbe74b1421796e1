"""What a worker's reply means."""

from __future__ import annotations

from lavit_eval.engines.checks import Probe
from lavit_eval.engines.messages import Message, unpack_fits, unpack_responses
from lavit_eval.engines.pool import Answered, Event, Ready, Short, WorkerError
from lavit_eval.errors import UsageError


def ready_of(worker: str, message: Message, probe: Probe) -> Ready:
    """Return the event of a worker that has loaded the model, after it proved that it shares the run's folder."""
    about = message["about"]
    probe.check(worker, f"Worker {worker} on {about['host']}")
    return Ready(worker, about, unpack_fits(message["fits"]), foresees=message["foresees"])


def event_of(worker: str, message: Message) -> Event:
    """Return the event of any other reply.

    Raises:
        UsageError: The worker met what the user can mend.
        WorkerError: Its model raised what nobody foresaw.
    """
    match message["say"]:
        case "answered":
            responses = unpack_responses(message["responses"])
            return Answered(
                worker, message["number"], responses, message["seconds"], message["waited"], message["used"]
            )
        case "memory":
            return Short(worker, message["number"], message["text"])
        case "usage":
            raise UsageError(message["text"])
        case _:
            raise WorkerError(f"worker {worker} raised\n{message['text']}")
