from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lavit_eval.models.video_lavit.bounded_cache import BoundedCache


def test_the_least_recently_used_goes_first() -> None:
    cache: BoundedCache[str] = BoundedCache(10)
    cache.put("a", "A", 4)
    cache.put("b", "B", 4)
    assert cache.get("a") == "A"
    cache.put("c", "C", 4)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("A", None, "C")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30))))
def test_the_limit_holds_and_what_was_put_last_is_there(puts: list[tuple[int, int]]) -> None:
    cache: BoundedCache[int] = BoundedCache(20)
    for key, size in puts:
        cache.put(key, size, size)
        assert cache.held <= 20
        assert cache.get(key) == (size if size <= 20 else None)
