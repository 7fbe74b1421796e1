"""The fixed rate against libav's own filter, and the rules of the ffmpeg command around it."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavit_eval.video.timing import Clock, ConstantRate, RateFilter, rescale


def by_libav(times: list[int], base: Fraction, fps: int) -> list[tuple[int, int]]:
    """(slot, index of the picture shown) by libav's fps filter; the picture's grey level is its index."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=16, height=16, format=av.VideoFormat("gray", 16, 16), time_base=base)
    graph.link_nodes(source, graph.add("fps", f"fps={fps}"), graph.add("buffersink")).configure()
    shown = []

    def drain() -> None:
        while True:
            try:
                frame = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            shown.append((frame.pts, int(frame.to_ndarray()[0, 0])))

    for index, pts in enumerate(times):
        frame = av.VideoFrame.from_ndarray(np.full((16, 16), index, dtype=np.uint8), format="gray")
        frame.pts, frame.time_base, frame.duration = pts, base, 1
        graph.push(frame)
        drain()
    graph.push(None)
    drain()
    return shown


@settings(max_examples=60, deadline=None)
@given(
    first=st.integers(-40, 40),
    steps=st.lists(st.integers(1, 90), min_size=1, max_size=40),
    base=st.sampled_from([Fraction(1, 30), Fraction(1, 25), Fraction(1, 90), Fraction(1001, 30000), Fraction(1, 4)]),
    fps=st.sampled_from([6, 12]),
)
def test_rate_filter_equals_libavs(first: int, steps: list[int], base: Fraction, fps: int) -> None:
    times = np.cumsum([first, *steps]).tolist()
    ours: RateFilter[int] = RateFilter(base, fps)
    found = [shown for index, pts in enumerate(times) for shown in ours.push(index, pts)]
    found += ours.finish(times[-1] + 1)
    assert found == by_libav(times, base, fps)


def test_rescale_rounds_halves_away_from_zero() -> None:
    half = Fraction(1, 2)
    assert [rescale(value, half) for value in (-3, -1, 0, 1, 3)] == [-2, -1, 0, 1, 2]


def test_start_is_filled_only_beside_other_streams() -> None:
    filled, alone = ConstantRate(fill_start=True), ConstantRate(fill_start=False)
    assert [filled.copies(slot) for slot in (4, 5, 6)] == [5, 1, 1]
    assert [alone.copies(slot) for slot in (4, 5, 6)] == [1, 1, 1]


def test_pictures_long_before_time_0_are_dropped() -> None:
    rate = ConstantRate(fill_start=True)
    assert [rate.copies(slot) for slot in (-4, -3, -2, -1, 0)] == [0, 0, 1, 1, 1]


def test_clock_uses_decoding_times_where_presentation_times_are_missing() -> None:
    clock = Clock(codec_frame=0, average_frame=1, untimed=False)
    assert [clock.stamp(None, dts, 1) for dts in (1, 2, 3)] == [1, 2, 3]
    assert clock.end == 4


def test_clock_trusts_the_kind_of_time_with_fewer_faults() -> None:
    clock = Clock(codec_frame=0, average_frame=0, untimed=False)
    stamps = [clock.stamp(pts, dts, 10) for pts, dts in ((0, 0), (0, 10), (0, 20), (0, 30))]
    assert stamps == [0, 10, 20, 30]


def test_clock_continues_without_any_time() -> None:
    clock = Clock(codec_frame=4, average_frame=0, untimed=True)
    assert [clock.stamp(None, None, 0) for _ in range(3)] == [0, 4, 8]


@pytest.mark.parametrize(("durations", "end"), [((1, 1), 16), ((5, 5), 13), ((0, 0), 16)])
def test_made_up_duration_gives_way_to_the_step_between_frames(durations: tuple[int, int], end: int) -> None:
    clock = Clock(codec_frame=0, average_frame=3, untimed=False)
    clock.stamp(0, None, durations[0])
    clock.stamp(8, None, durations[1])
    assert clock.end == end
