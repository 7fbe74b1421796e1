"""The small charts: everything drawn lies on the canvas, in the order of its values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lavit_eval.report.charts import HISTORY_HEIGHT, WIDTH, Estimate, history, strip

VALUES = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))
ESTIMATES = st.lists(
    st.builds(
        lambda value, below, above: Estimate("x", value, (value - below, value + above), "run"),
        VALUES,
        st.floats(0, 1e3),
        st.floats(0, 1e3),
    ),
    min_size=1,
    max_size=5,
)


@given(ESTIMATES, st.booleans())
def test_a_strip_keeps_order_and_canvas(estimates: list[Estimate], hundred: bool) -> None:
    found = strip(estimates, hundred=hundred)
    assert found is not None
    for mark in found.marks:
        assert mark.left is not None and mark.right is not None
        assert 0 <= mark.left <= mark.x <= mark.right <= WIDTH
        assert mark.y < found.height
    ordered = sorted(zip((one.value for one in estimates), (mark.x for mark in found.marks), strict=True))
    assert [x for _, x in ordered] == sorted(x for _, x in ordered)
    assert 2 <= len(found.ticks) <= 6
    assert all(0 <= tick.at <= WIDTH for tick in found.ticks)


def test_a_scale_of_hundred_is_shown_whole() -> None:
    found = strip([Estimate("x", 50.0, None, "run")], hundred=True)
    assert found is not None
    assert [tick.label for tick in found.ticks] == ["0", "25", "50", "75", "100"]
    assert found.marks[0].x == WIDTH / 2
    assert found.marks[0].left is None
    assert strip([], hundred=True) is None


@given(ESTIMATES)
def test_a_history_rises_where_the_values_rise(estimates: list[Estimate]) -> None:
    found = history(estimates, len(estimates) - 1)
    assert [point.here for point in found.points] == [False] * (len(estimates) - 1) + [True]
    for point in found.points:
        assert point.low is not None and point.high is not None
        assert 0 <= point.high <= point.y <= point.low <= HISTORY_HEIGHT
    for one, other, left, right in zip(estimates, estimates[1:], found.points, found.points[1:], strict=False):
        assert left.x < right.x <= WIDTH
        assert (one.value <= other.value) <= (left.y >= right.y)
