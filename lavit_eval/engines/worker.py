"""A spawned worker: `python -m lavit_eval.engines.worker`, driven through its standard input and output.

It ends as soon as its input closes, whatever it is doing: a driver that was killed leaves no worker behind.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import BinaryIO

PR_SET_PDEATHSIG = 1
"""Of <sys/prctl.h>."""


def main() -> None:
    """Answer messages until the driver is gone."""
    incoming, outgoing = private_pipes()
    die_with_parent()
    # A driver that is interrupted closes the pipe; until then the write under way is finished.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    inbox: SimpleQueue[bytes] = SimpleQueue()
    told: list[Callable[[bytes], object]] = []
    threading.Thread(target=_listen, args=(incoming, inbox, told), daemon=True).start()

    from lavit_eval.engines.messages import from_line, to_line
    from lavit_eval.engines.session import Session

    session = Session()
    told.append(lambda line: session.foresee(from_line(line)) if session.foresees else None)
    while True:
        reply = session.handle(from_line(inbox.get()))
        if reply is not None:
            try:
                outgoing.write(to_line(reply).encode())
                outgoing.flush()
            except OSError:
                os._exit(0)


def _listen(incoming: BinaryIO, inbox: SimpleQueue[bytes], told: list[Callable[[bytes], object]]) -> None:
    for line in incoming:
        if not line.endswith(b"\n"):
            break
        for tell in told:
            tell(line)
        inbox.put(line)
    os._exit(0)


def die_with_parent() -> None:
    """Ask Linux to kill this process when its driver dies, should a library keep it from hearing of the closed pipe."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the driver's pipes, and put others in their place: what a library prints must not be a message."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the life of the process
    return incoming, outgoing


if __name__ == "__main__":
    main()
