"""When each picture is shown, and which pictures a fixed rate keeps: the rules of the ffmpeg command, without it.

Times are integers in units of a time base, as libav has them. The rules are written out because they decide from the
timestamps alone which pictures are needed, so that the others need be neither converted nor, at times, decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import floor
from typing import Generic, TypeVar

Item = TypeVar("Item")

_BEFORE_ALL = -(2**63)


def rescale(value: int, factor: Fraction) -> int:
    """Return value * factor rounded to the nearest integer, halves away from zero (libav's AV_ROUND_NEAR_INF)."""
    whole = (2 * abs(value) * factor.numerator + factor.denominator) // (2 * factor.denominator)
    return whole if value >= 0 else -whole


class Clock:
    """Gives every decoded frame a presentation time and a duration in its stream's time base.

    Containers such as AVI state decoding times only; libav then guesses from both kinds which is to be trusted, and the
    ffmpeg command fills what is still unknown with the estimated end of the frame before.
    """

    def __init__(self, codec_frame: int, average_frame: int, untimed: bool) -> None:
        """Take the codec's and the container's frame durations (0: unknown), and if the container has no times."""
        self._codec_frame = codec_frame
        self._average_frame = average_frame
        self._untimed = untimed
        self._last_pts: int | None = None
        self._last_duration = 1
        self._seen_pts = self._seen_dts = _BEFORE_ALL
        self._faulty_pts = self._faulty_dts = 0

    @property
    def end(self) -> int:
        """When the last frame ends."""
        return (self._last_pts or 0) + self._last_duration

    def stamp(self, pts: int | None, dts: int | None, duration: int) -> int:
        """Return the presentation time of the next frame that the decoder gave out."""
        found = self._best_effort(pts, dts)
        if found is None:
            found = 0 if self._last_pts is None else self.end
        self._last_duration = self._estimate(found, duration)
        self._last_pts = found
        return found

    def _best_effort(self, pts: int | None, dts: int | None) -> int | None:
        if dts is not None:
            self._faulty_dts += dts <= self._seen_dts
            self._seen_dts = dts
        elif pts is not None:
            self._seen_dts = pts
        if pts is not None:
            self._faulty_pts += pts <= self._seen_pts
            self._seen_pts = pts
        elif dts is not None:
            self._seen_pts = dts
        if pts is not None and (self._faulty_pts <= self._faulty_dts or dts is None):
            return pts
        return dts

    def _estimate(self, pts: int, duration: int) -> int:
        step = -1 if self._last_pts is None else pts - self._last_pts
        # A duration of 1 is often made up by the demuxer.
        made_up = duration == 1 and step > 2
        if duration > 0 and not made_up and not (self._untimed and self._codec_frame):
            return duration
        if self._untimed and self._codec_frame > 0:
            return self._codec_frame
        for known in (step, duration, self._codec_frame, self._average_frame):
            if known > 0:
                return known
        return max(self._last_duration, 1)


class RateFilter(Generic[Item]):
    """libav's `fps` filter: every slot of a fixed rate shows the last picture whose rounded time has come.

    Of several pictures in one slot the last is kept, a picture is repeated until the next one's slot, and the first
    slot is the first picture's. Times are rounded to the nearest slot.
    """

    def __init__(self, time_base: Fraction, fps: int) -> None:
        self._factor = time_base * fps
        self._held: Item | None = None
        self._next: int | None = None

    def slot(self, pts: int) -> int:
        """Return the slot nearest to a time."""
        return rescale(pts, self._factor)

    def push(self, item: Item, pts: int) -> Iterator[tuple[int, Item]]:
        """Take the next picture; yield (slot, picture) for the slots that the one before it fills."""
        slot = self.slot(pts)
        yield from self._until(slot)
        self._held = item
        if self._next is None:
            self._next = slot

    def finish(self, end: int | Fraction) -> Iterator[tuple[int, Item]]:
        """Yield the slots that the last picture fills until the end, of the stream or (a fraction) of a segment."""
        yield from self._until(self.slot(end) if isinstance(end, int) else floor(end * self._factor + Fraction(1, 2)))
        self._held = None

    def _until(self, slot: int) -> Iterator[tuple[int, Item]]:
        if self._held is None or self._next is None:
            return
        for place in range(self._next, slot):
            yield place, self._held
        self._next = max(self._next, slot)


class ConstantRate:
    """The ffmpeg command's constant-rate output: fills from time 0 up to the first picture, drops what is too early.

    A file with a single stream is never filled at the start. Consecutive slots then pass one to one, but for a start
    before time 0: pictures more than one slot behind are dropped, after which all follow late.
    """

    def __init__(self, fill_start: bool) -> None:
        self._fill_start = fill_start
        self._written: int | None = None

    def copies(self, slot: int) -> int:
        """Return how often the picture of this slot is written."""
        if self._written is None:
            self._written = 0 if self._fill_start or slot < 0 else slot
        behind = slot - self._written
        copies = 0 if behind < -2 else max(1, behind + 1)
        self._written += copies
        return copies
