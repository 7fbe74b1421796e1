"""A video file of any kind: its pictures in order, each in the slots of a fixed rate that show it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import repeat
from math import floor
from pathlib import Path
from typing import Any, Self

import av
from av.container import Flags
from av.stream import Disposition

from lavit_eval.errors import MediumError
from lavit_eval.sample import Segment
from lavit_eval.video.disposable import nal_length_size, worth_decoding
from lavit_eval.video.picture_folder import open_pictures
from lavit_eval.video.timing import Clock, ConstantRate, RateFilter, rescale

ELEMENTARY_STREAM = "m4v"
"""libav's name of a raw MPEG-4 Part 2 stream; an Apple .m4v file is another format."""
_MICROSECOND = Fraction(1, 1_000_000)
_SHORTFALL = Fraction(1, 10)
"""Seconds that a whole file may lack of its stated length: times are rounded."""
_SEEKABLE = ("mov,mp4", "matroska")
"""How the names of formats begin whose index leads to the keyframe before a time."""
_WORTH_SEEKING = 10
"""A segment that begins at fewer seconds is reached by decoding from the file's beginning."""
_ROUNDED = Fraction(1, 2000)
"""Seconds by which a file's rounding may have moved a picture's time."""
_SEEK_MARGIN = 2
"""Seconds by which the search aims too early: pictures right after a keyframe may lean on what precedes it."""


class OutOfOrderError(Exception):
    """Pictures came out of the decoder in another order than their times say, or a shortcut missed its place."""


class VideoFile:
    """An open video file; use it in a `with` statement.

    Raises:
        MediumError: The file is missing, empty, truncated, or holds no video; or the folder no pictures in order.
    """

    def __init__(self, path: Path, rate: int | None = None) -> None:
        """Open the file and choose its video stream as the ffmpeg command does; with a rate, a folder of pictures."""
        self.path = path
        self.container: Any = _opened(path) if rate is None else open_pictures(path, rate)
        # PyAV asks libav to make up presentation times, one picture late in AVI files; the ffmpeg command does not.
        self.container.flags &= ~Flags.gen_pts.value
        self.stream: Any = self._choose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.container.close()

    @property
    def is_elementary(self) -> bool:
        """Whether this is a raw MPEG-4 Part 2 stream, found by its content."""
        return str(self.container.format.name) == ELEMENTARY_STREAM

    def packets(self) -> Iterator[Any]:
        """Yield the video stream's packets in file order, without the empty ones that ask for a flush.

        Raises:
            MediumError: The file ends in the middle of a packet or cannot be read on.
        """
        try:
            for packet in self.container.demux(self.stream):
                if packet.is_corrupt:
                    raise MediumError(f"video {self.path} is truncated or damaged: a packet is incomplete.")
                if packet.size:
                    yield packet
        except av.FFmpegError as error:
            raise MediumError(f"video {self.path} is truncated or damaged: {reason(error)}.") from error

    def pictures(self, fps: int, skip: bool = True) -> Generator[Any, None, None]:
        """Yield the frame shown in each slot of `fps` per second, the same one again where it fills several.

        The slots are filled as the ffmpeg command fills them.

        Args:
            fps: Slots per second.
            skip: Leave undecoded the H.264 pictures that nothing refers to and that this rate drops.

        Raises:
            MediumError: Nothing can be decoded, or the demuxer or the decoder reports damage. The ffmpeg command goes
                on after such a report, with pictures made up; an evaluation must not do so in silence.
            OutOfOrderError: With `skip` only: the times cannot be trusted, so begin again without it.
        """
        rate: RateFilter[Any] = RateFilter(self.stream.time_base, fps)
        constant = ConstantRate(fill_start=len(self.container.streams) > 1)
        clock, shift = self._clock(), self._shift()
        skip = skip and self.stream.codec_context.name == "h264"
        packets = self.packets()
        if skip:
            length_size = nal_length_size(self.stream.codec_context.extradata)
            packets = worth_decoding(packets, lambda pts: rate.slot(pts + shift), length_size)
        last = None
        for frame in self._decode(packets):
            pts = clock.stamp(_shifted(frame.pts, shift), _shifted(frame.dts, shift), frame.duration or 0)
            if skip and last is not None and pts <= last:
                raise OutOfOrderError
            last = pts
            for slot, shown in rate.push(frame, pts):
                yield from repeat(shown, constant.copies(slot))
        self._check_whole(clock.end)
        for slot, shown in rate.finish(clock.end):
            yield from repeat(shown, constant.copies(slot))

    def segment_pictures(self, fps: int, segment: Segment, quick: bool = True) -> Generator[Any, None, None]:
        """Yield the frame shown in each slot of a segment, as `pictures` would of a file that holds it alone.

        The segment holds the pictures with start <= time < end, where the file begins at time 0; a time that the file
        had to round (Matroska counts milliseconds) counts as what it was rounded from. The first picture opens the
        first slot, and the last one is shown until the segment's end or the file's, whichever comes first.

        Args:
            fps: Slots per second.
            segment: May run over the file's end, but must hold a picture.
            quick: Begin at the keyframe before the segment where the file's index gives it, and end with the segment.

        Raises:
            MediumError: As `pictures`; or no picture lies in the segment.
            OutOfOrderError: With `quick` only: times or index cannot be trusted, so begin again without it.
        """
        rate: RateFilter[Any] = RateFilter(self.stream.time_base, fps)
        early = min(self.stream.time_base / 2, _ROUNDED)
        begin, stop = ((time - early) / self.stream.time_base for time in (segment.start, segment.end))
        length = segment.end / self.stream.time_base
        first = last = None
        end = length
        for frame, pts, until in self._timed(begin, quick):
            if quick and last is not None and pts <= last:
                raise OutOfOrderError
            last = pts
            if pts >= stop:
                end = length
                if quick:
                    break
            elif pts >= begin:
                first, end = pts if first is None else first, min(Fraction(until), length)
                for _, shown in rate.push(frame, pts - first):
                    yield shown
        if first is None:
            seen = "" if last is None else f"; the last picture that was read is at {_at(last * self.stream.time_base)}"
            raise MediumError(f"video {self.path} has no picture in its segment {segment}{seen}.")
        for _, shown in rate.finish(end - first):
            yield shown

    def _timed(self, begin: Fraction, quick: bool) -> Iterator[tuple[Any, int, int]]:
        """Yield (frame, its time, the file's end as far as it is known by now) from before a time to the end."""
        clock, shift = self._clock(), self._shift()
        sought = quick and self._seek(begin, shift)
        first = True
        try:
            for frame in self._decode(self.packets()):
                pts = clock.stamp(_shifted(frame.pts, shift), _shifted(frame.dts, shift), frame.duration or 0)
                if sought and first and pts > begin:
                    raise OutOfOrderError
                first = False
                yield frame, pts, clock.end
        except MediumError:
            if sought:
                raise OutOfOrderError from None
            raise
        if sought and first:
            raise OutOfOrderError
        self._check_whole(clock.end)

    def _seek(self, begin: Fraction, shift: int) -> bool:
        """Go to the keyframe before a time, if the file is of a kind where that is worth it and safe."""
        early = begin - _SEEK_MARGIN / self.stream.time_base
        if begin * self.stream.time_base < _WORTH_SEEKING or not self.container.format.name.startswith(_SEEKABLE):
            return False
        try:
            self.container.seek(floor(early) - shift, stream=self.stream, backward=True)
        except av.FFmpegError as error:
            raise OutOfOrderError from error
        return True

    def frames(self) -> Iterator[Any]:
        """Yield every frame once, in the order in which they are shown.

        Raises:
            MediumError: As `pictures`.
        """
        clock, shift = self._clock(), self._shift()
        for frame in self._decode(self.packets()):
            clock.stamp(_shifted(frame.pts, shift), _shifted(frame.dts, shift), frame.duration or 0)
            yield frame
        self._check_whole(clock.end)

    def _decode(self, packets: Iterator[Any]) -> Iterator[Any]:
        context = self.stream.codec_context
        # With frame threads, libav reports a damaged picture by chance only, and makes it up by chance too.
        context.thread_count = 1
        try:
            for packet in packets:
                for frame in context.decode(packet):
                    yield self._sound(frame)
            for frame in context.decode(None):
                yield self._sound(frame)
        except av.FFmpegError as error:
            raise MediumError(f"video {self.path} is truncated or damaged: {reason(error)}.") from error

    def _sound(self, frame: Any) -> Any:
        if frame.is_corrupt:
            raise MediumError(f"video {self.path} is truncated or damaged: a picture cannot be decoded whole.")
        return frame

    def _check_whole(self, end: int) -> None:
        """Raise MediumError if a file ends before its stated end, where the demuxer is silent on it."""
        found, stated, share = end * self.stream.time_base, Fraction(0), Fraction(1, 100)
        if self.container.format.name == "avi":
            # The header counts time units, not pictures; writers are careless about it, so only a large gap counts.
            stated, share = self.stream.frames * self.stream.time_base, Fraction(1, 10)
        elif "matroska" in self.container.format.name:
            stated = _seconds(self.stream.metadata.get("DURATION", ""))
            if not stated and len(self.container.streams) == 1:
                stated = (self.container.duration or 0) * _MICROSECOND
        if stated - found > max(_SHORTFALL, stated * share):
            raise MediumError(
                f"video {self.path} is truncated: it ends after {float(found):.1f} of {float(stated):.1f} seconds."
            )

    def _choose(self) -> Any:
        streams = list(self.container.streams.video)
        if not streams:
            self.container.close()
            raise MediumError(f"video {self.path} has no video stream.")

        def weight(stream: Any) -> int:
            # The largest picture wins, a default stream before others, cover art only for want of a video.
            if stream.disposition & Disposition.attached_pic:
                return 1
            default = bool(stream.disposition & Disposition.default)
            return int(stream.codec_context.width * stream.codec_context.height) + 5_000_000 * default

        return max(streams, key=weight)

    def _shift(self) -> int:
        """Return what the ffmpeg command adds to all times, in the stream's time base: the file begins at 0.

        In formats whose times may jump, such as MPEG-TS, only the streams in use count.
        """
        start = self.container.start_time
        if start is None:
            return 0
        if self.container.format.flags & av.format.Flags.ts_discont.value and self.stream.start_time is not None:
            start = rescale(self.stream.start_time, self.stream.time_base / _MICROSECOND)
        return rescale(-start, _MICROSECOND / self.stream.time_base)

    def _clock(self) -> Clock:
        def length(rate: Fraction | None) -> int:
            return rescale(1, 1 / (rate * self.stream.time_base)) if rate else 0

        untimed = bool(self.container.format.flags & av.format.Flags.no_timestamps.value)
        return Clock(length(self.stream.codec_context.framerate), length(self.stream.average_rate), untimed)


def _seconds(text: str) -> Fraction:
    """Return the seconds of a Matroska tag such as 00:00:05.000000000, 0 if it is none."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except ValueError:
        return Fraction(0)


def _at(seconds: Fraction) -> str:
    return f"{float(seconds):.1f} s"


def _shifted(time: int | None, shift: int) -> int | None:
    return None if time is None else time + shift


def reason(error: Exception) -> str:
    """Return libav's words for an error, without its number and the file's name."""
    return str(getattr(error, "strerror", None) or error).rstrip(".")


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise MediumError(f"video {path} does not exist.")
    if path.stat().st_size == 0:
        raise MediumError(f"video {path} is empty.")
    try:
        # "file:" keeps a colon in a name from being taken for a protocol; a playlist may name local files only.
        return av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError) as error:
        raise MediumError(f"video {path} cannot be opened (truncated, or no video): {reason(error)}.") from error
