"""Which coded pictures no other picture needs and a fixed rate would drop: they are not worth decoding."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_REACH = 32
"""Packets looked at on either side; reordering reaches 16 pictures at most."""
_SLICES = range(1, 6)
"""H.264 NAL unit types that carry coded pictures."""


def nal_length_size(extradata: bytes | None) -> int:
    """Return the bytes of an H.264 NAL unit's length field, 0 where start codes separate the units (Annex B)."""
    if extradata and len(extradata) > 4 and extradata[0] == 1:
        return (extradata[4] & 3) + 1
    return 0


def is_reference(packet: bytes, length_size: int) -> bool:
    """Tell whether another picture may refer to this H.264 packet's picture: any slice with a nal_ref_idc other than 0.

    A packet in which no slice is found counts as a reference.
    """
    headers = _headers_by_length(packet, length_size) if length_size else _headers_by_start_code(packet)
    slices = [header for header in headers if header & 31 in _SLICES]
    return not slices or any(header >> 5 & 3 for header in slices)


def _headers_by_length(packet: bytes, length_size: int) -> Iterator[int]:
    place = 0
    while place + length_size < len(packet):
        yield packet[place + length_size]
        place += length_size + int.from_bytes(packet[place : place + length_size], "big")


def _headers_by_start_code(packet: bytes) -> Iterator[int]:
    place = packet.find(b"\0\0\1")
    while 0 <= place < len(packet) - 3:
        yield packet[place + 3]
        place = packet.find(b"\0\0\1", place + 3)


def worth_decoding(packets: Iterable[Any], slot: Callable[[int], int], length_size: int) -> Iterator[Any]:
    """Yield the H.264 packets without those whose picture is certain to be dropped.

    A picture is dropped by a fixed rate if a later one falls in the same slot. It may be left out if, besides, no
    other picture refers to it, and its own time and duration are known and not the last that the stream's length may be
    estimated from.

    Args:
        packets: In file order.
        slot: Gives the slot of a presentation time.
        length_size: See `nal_length_size`.
    """
    latest: dict[int, int] = {}
    ahead: deque[Any] = deque()

    def passes(packet: Any) -> bool:
        known = packet.pts is not None and packet.dts is not None and packet.duration > 1 and not packet.is_discard
        if not known or len(ahead) < _REACH or latest.get(slot(packet.pts), packet.pts) <= packet.pts:
            return True
        return is_reference(bytes(packet), length_size)

    for packet in packets:
        ahead.append(packet)
        if packet.pts is not None and not packet.is_discard:
            place = slot(packet.pts)
            latest[place] = max(latest.get(place, packet.pts), packet.pts)
        if len(ahead) > _REACH:
            first = ahead.popleft()
            if passes(first):
                yield first
    while ahead:
        first = ahead.popleft()
        if passes(first):
            yield first
