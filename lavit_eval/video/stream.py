"""An MPEG-4 Part 2 elementary stream, held coded, of which any frames can be decoded with their motion vectors."""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import av
from av.video.frame import PictureType

from lavit_eval.errors import MediumError
from lavit_eval.video.picture import Picture
from lavit_eval.video.source import VideoFile, reason
from lavit_eval.video.vectors import Vectors, no_vectors, vector_table

SPOOL_BYTES = 200_000_000
"""More than this many coded bytes (three minutes at 8 Mbit/s) go to an unnamed temporary file."""
_FRAMES_ALIVE = 8
"""Dead frames are collected after so many; see `_Reader`."""


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """One decoded frame of the re-encoded stream."""

    index: int
    kind: str
    """"I" or "P"."""
    vectors: Vectors
    """int32 [n, 10], columns as `vectors.COLUMNS`, in the decoder's order; none in an I-frame."""
    height: int
    width: int
    picture: Picture | None
    """RGB, uint8 [height, width, 3], if it was asked for."""


class Mpeg4Stream:
    """Coded packets in order, with the type of each frame.

    Packets are kept as bytes, in memory up to `SPOOL_BYTES`; close the stream, or use it in a `with` statement.
    """

    def __init__(self, name: str) -> None:
        """Make an empty stream; `name` says in messages which video it is."""
        self.name = name
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - closed by `close`
        self._ends = [0]
        self._kinds: list[str] = []
        self._one_to_one = True

    def __enter__(self) -> Mpeg4Stream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the packets go."""
        self._spool.close()

    @property
    def frame_types(self) -> str:
        """One letter per frame, in the order of showing: "I", "P", ..."""
        return "".join(self._kinds)

    def append(self, packet: Any, kind: str) -> None:
        """Add a coded picture."""
        self._spool.write(memoryview(packet))
        self._ends.append(self._ends[-1] + packet.size)
        self._kinds.append(kind)

    def write(self, target: IO[bytes]) -> None:
        """Write the raw elementary stream to a binary file."""
        self._spool.seek(0)
        shutil.copyfileobj(self._spool, target)

    def frames(
        self, wanted: Sequence[int] | None = None, pictured: Container[int] | None = None
    ) -> Iterator[CodedFrame]:
        """Decode frames with their vectors, by default all.

        Decoding begins at the I-frame at or before a wanted frame, and passes over groups without one.

        Args:
            wanted: Indices in ascending order.
            pictured: Of which of them the picture is wanted too, by default all.

        Raises:
            MediumError: The stream is damaged or gives another number of frames than it holds.
        """
        chosen = range(len(self._kinds)) if wanted is None else wanted
        for first, last in self._runs(chosen):
            members = frozenset(index for index in chosen if first <= index <= last)
            reader = _Reader(first, members, members if pictured is None else pictured)
            for place, packet in enumerate(self._packets(first, last)):
                yield from self._checked(partial(reader.read, packet))
                if place % _FRAMES_ALIVE == 0:
                    gc.collect(1)
            if self._one_to_one and reader.index != last + 1:
                found = reader.index - first
                raise MediumError(f"video {self.name}: {found} of {last + 1 - first} re-encoded frames can be decoded.")

    def _runs(self, wanted: Sequence[int]) -> list[tuple[int, int]]:
        """Return (first, last) of each run of frames to decode in one go; the first is an I-frame."""
        if not wanted:
            return []
        if not self._one_to_one:
            return [(0, len(self._ends) - 2)]
        runs: list[tuple[int, int]] = []
        for index in wanted:
            intra = index
            while intra > 0 and self._kinds[intra] != "I":
                intra -= 1
            if runs and intra <= runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], index)
            else:
                runs.append((intra, index))
        return runs

    def _checked(self, decode: Callable[[], list[Any]]) -> list[Any]:
        try:
            return decode()
        except av.FFmpegError as error:
            raise MediumError(f"video {self.name}: the MPEG-4 stream is damaged: {reason(error)}.") from error

    def _packets(self, first: int, last: int) -> Iterator[Any]:
        """Yield the packets of a run, and None, which makes the decoder give out what it still holds."""
        yield from map(self._packet, range(first, last + 1))
        yield None

    def _packet(self, index: int) -> Any:
        start, end = self._ends[index], self._ends[index + 1]
        # Packet(bytes) would share Python's memory, which lacks the zeroed padding that the decoder reads past the end:
        # a few vectors would then change from run to run.
        packet = av.Packet(end - start)
        self._spool.seek(start)
        packet.update(self._spool.read(end - start))
        return packet

    @classmethod
    def read(cls, path: Path) -> Mpeg4Stream:
        """Read a file that already is such a stream, for instance one that the ffmpeg command re-encoded.

        The frame types come from decoding it once.

        Raises:
            MediumError: The file is missing, damaged, no MPEG-4 elementary stream, or without frames.
        """
        stream = cls(str(path))
        try:
            with VideoFile(path) as file:
                if not file.is_elementary:
                    raise MediumError(f"video {path} is no raw MPEG-4 stream.")
                for packet in file.packets():
                    stream.append(packet, "?")
            stream._find_types()
        except BaseException:
            stream.close()
            raise
        return stream

    def _find_types(self) -> None:
        context, packets, kinds = _decoder(), len(self._kinds), ""
        for packet in self._packets(0, packets - 1):
            kinds += "".join(_kind(frame) for frame in self._checked(partial(context.decode, packet)))
        if not kinds:
            raise MediumError(f"video {self.name} has no frames.")
        # With B-frames the order of decoding is not that of showing, and with packed pictures a packet is not a frame.
        self._one_to_one = len(kinds) == packets and set(kinds) <= {"I", "P"}
        self._kinds = list(kinds)


class _Reader:
    """A decoder that gives out vectors and pictures, and lets go of libav's frames at once.

    Looking at a frame's vectors ties the frame into a reference cycle, which holds a whole picture until the garbage
    collector comes by. Nothing outside `read` may refer to a frame, so that a collection finds it dead while young.
    """

    def __init__(self, first: int, wanted: Container[int], pictured: Container[int]) -> None:
        self._context = _decoder()
        self._wanted = wanted
        self._pictured = pictured
        self.index = first
        """Of the next frame."""

    def read(self, packet: Any) -> list[CodedFrame]:
        """Decode a packet; None flushes."""
        found = []
        for frame in self._context.decode(packet):
            if self.index in self._wanted:
                found.append(self._coded(frame))
            self.index += 1
        return found

    def _coded(self, frame: Any) -> CodedFrame:
        exported = frame.side_data.get("MOTION_VECTORS")
        vectors = no_vectors() if exported is None else vector_table(exported.to_ndarray())
        picture = frame.to_ndarray(format="rgb24") if self.index in self._pictured else None
        return CodedFrame(self.index, _kind(frame), vectors, frame.height, frame.width, picture)


def _decoder() -> Any:
    context: Any = av.CodecContext.create("mpeg4", "r")
    # Without "explode" a damaged picture would be made up from its neighbours without a word.
    context.options = {"flags2": "+export_mvs", "err_detect": "explode"}
    context.thread_count = 1
    return context


def _kind(frame: Any) -> str:
    return str(PictureType(frame.pict_type).name)


def read_stream(path: Path) -> Mpeg4Stream:
    """Read a raw MPEG-4 elementary stream that is already re-encoded; see `Mpeg4Stream.read`."""
    return Mpeg4Stream.read(path)
