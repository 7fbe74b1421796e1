"""A spawned process that extracts features beside a run: `python -m lavit_eval.features_process`.

It is driven through its standard input and output by `lavit_eval.features_ahead`, and ends when its input does: at once
where it waits, else after the medium that it is at.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO

from lavit_eval.engines.asking import one_line
from lavit_eval.engines.messages import Message, from_line, to_line
from lavit_eval.engines.worker import die_with_parent, private_pipes
from lavit_eval.errors import UsageError
from lavit_eval.features.equipment import Equipment
from lavit_eval.sample import JSON

if TYPE_CHECKING:
    from lavit_eval.features.extraction import Extraction
    from lavit_eval.features.media import Item
    from lavit_eval.metrics.feature_metric import Need


class Stopped(Exception):
    """Nobody waits for more."""


class Bench:
    """Extracts what it is told to, as scoring would.

    Args:
        about: `threads`; `equipment`; `needs`, each with the folder of its features; `least_bytes` that a card must
            have.
        leaving: Set when the work is to end.

    Raises UsageError for a card that is too small to be shared.
    """

    def __init__(self, about: Message, leaving: threading.Event) -> None:
        import torch

        # As scoring does: the rounding of features depends on it.
        torch.set_num_threads(about["threads"])
        self._equipment, self._leaving = unpack_equipment(about["equipment"]), leaving
        self._needs: list[Message] = about["needs"]
        self._extractions: dict[int, Extraction] = {}
        self._given_up: set[int] = set()
        refuse_small_card(self._equipment.device, about["least_bytes"])

    def do(self, message: Message) -> Message:
        """Extract the features of some items of a need; say how many are done with, and what went wrong.

        Raises Stopped when the work is to end.
        """
        number, rows = message["need"], message["items"]
        done = {"done": len(rows)}
        if number in self._given_up:
            return done
        try:
            failed = self._extraction(number).run([unpack_item(row) for row in rows], "", self).failed
        except Stopped:
            raise
        except Exception as error:
            # Whatever it is, scoring meets it again, and says it then.
            if not isinstance(error, UsageError):
                traceback.print_exc()
            self._given_up.add(number)
            said = one_line(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {one_line(error)}"
            return {**done, "wrong": said}
        return {**done, "failed": list(failed.values())} if failed else done

    def _extraction(self, number: int) -> Extraction:
        """Return a need's extraction; needs of the same features share one, and its network."""
        from lavit_eval.features.extraction import Extraction
        from lavit_eval.features.networks import weights_at_hand

        if number not in self._extractions:
            need = unpack_need(self._needs[number])
            weights_at_hand(need.protocol, self._equipment)
            made = Extraction(need, self._equipment, Path(self._needs[number]["folder"]))
            same = (one for one in self._extractions.values() if one.store.folder == made.store.folder)
            self._extractions[number] = next(same, made)
        return self._extractions[number]

    def begin(self, task: str, total: int, done: int, what: str = "media") -> None:
        """Go on."""

    def advance(self, by: int) -> None:
        """End the work between two media, where it is to end."""
        if self._leaving.is_set():
            raise Stopped

    def end(self) -> None:
        """Go on."""


def refuse_small_card(device: str, least_bytes: int) -> None:
    """Raise UsageError for a card with less memory than that; 0 allows any."""
    if not device.startswith("cuda") or not least_bytes:
        return
    import torch

    if not torch.cuda.is_available():
        raise UsageError(f"{device} is not visible")
    held = torch.cuda.get_device_properties(device).total_memory
    if held < least_bytes:
        raise UsageError(f"{device} has {held / 1e9:.0f} GB, too few to be shared with a model")


def pack_equipment(equipment: Equipment) -> Message:
    """Return that part of the equipment as JSON which features depend on."""
    weights_dir = None if equipment.weights_dir is None else str(equipment.weights_dir)
    return {"weights_dir": weights_dir, "trusted": sorted(map(str, equipment.trusted)), "device": equipment.device}


def unpack_equipment(packed: Message) -> Equipment:
    """Return the equipment of a message."""
    weights_dir = None if packed["weights_dir"] is None else Path(packed["weights_dir"])
    return Equipment(weights_dir, frozenset(map(Path, packed["trusted"])), packed["device"])


def pack_need(need: Need, folder: Path) -> Message:
    """Return a need and the folder of its features as JSON."""
    return {
        "role": need.role,
        "protocol": need.protocol.model_dump(mode="json"),
        "selection": need.selection.model_dump(mode="json"),
        "folder": str(folder),
    }


def unpack_need(packed: Message) -> Need:
    """Return the need of a message."""
    from lavit_eval.metrics.feature_metric import Need
    from lavit_eval.metrics.feature_protocol import FeatureProtocol, Selection

    protocol = FeatureProtocol.model_validate(packed["protocol"])
    return Need(packed["role"], protocol, Selection.model_validate(packed["selection"]))


def pack_item(item: Item) -> Sequence[JSON]:
    """Return an item as JSON."""
    path, partner = (None if one is None else str(one) for one in (item.path, item.partner))
    return [item.sample_id, item.digest, path, item.text, item.content, partner]


def pack_real(sample_id: str, path: str) -> Sequence[JSON]:
    """Return a real medium as JSON; the process takes its digest, which may mean reading it."""
    return [sample_id, path]


def unpack_item(packed: Sequence[JSON]) -> Item:
    """Return the item of a message."""
    from lavit_eval.features.items import real_item
    from lavit_eval.features.media import Item

    if len(packed) == 2:
        return real_item(packed[0], Path(packed[1]))
    sample_id, digest, path, text, content, partner = packed
    places = (None if one is None else Path(one) for one in (path, partner))
    made, source = places
    return Item(sample_id, digest, made, text, content, source)


def main() -> None:
    """Do what the driver says until it says no more, or is gone."""
    incoming, outgoing = private_pipes()
    die_with_parent()
    # A driver that is interrupted closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    inbox: SimpleQueue[bytes | None] = SimpleQueue()
    leaving = threading.Event()
    threading.Thread(target=_listen, args=(incoming, inbox, leaving), daemon=True).start()
    with suppress(Stopped, OSError):
        _work(inbox, outgoing, leaving)
    os._exit(0)


def _listen(incoming: BinaryIO, inbox: SimpleQueue[bytes | None], leaving: threading.Event) -> None:
    for line in incoming:
        if not line.endswith(b"\n"):
            break
        inbox.put(line)
    leaving.set()
    inbox.put(None)


def _work(inbox: SimpleQueue[bytes | None], outgoing: BinaryIO, leaving: threading.Event) -> None:
    def say(message: Mapping[str, JSON]) -> None:
        outgoing.write(to_line(message).encode())
        outgoing.flush()

    bench: Bench | None = None
    while (line := inbox.get()) is not None and not leaving.is_set():
        message = from_line(line)
        if bench is None:
            try:
                bench = Bench(message, leaving)
            except UsageError as error:
                say({"done": 0, "wrong": str(error)})
                return
        else:
            say(bench.do(message))


if __name__ == "__main__":
    main()
