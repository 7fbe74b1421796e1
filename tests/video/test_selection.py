"""Which clips are chosen."""

from __future__ import annotations

import pytest

from lavit_eval.video.selection import select_clips

GROUP = "I" + "P" * 11


def test_every_other_regular_group_from_the_second() -> None:
    assert select_clips(GROUP * 8, 16) == [12, 36, 60]


def test_last_i_frame_never_counts_as_regular() -> None:
    # I-frames at 0, 12, 24; 24 has no successor, 12 has 24 frames left: two regular ones, so the first is taken.
    assert select_clips(GROUP * 3, 16) == [0]
    assert select_clips(GROUP * 4, 16) == [12]


def test_clip_must_fit_before_the_end() -> None:
    # At 48 frames 0, 12 and 24 are regular and fit; with one frame less only 0 and 12 do.
    assert select_clips(GROUP * 4, 16) == [12]
    assert select_clips((GROUP * 4)[:-1], 16) == [0]


def test_fewer_than_two_regular_groups_fall_back_to_all_i_frames() -> None:
    kinds = "IPPPIPPPPPPIPPPPP"
    assert select_clips(kinds, 16) == [4]
    assert select_clips("IIII", 16) == [1, 3]


def test_thinning_truncates_to_whole_places() -> None:
    starts = select_clips(GROUP * 24, 4)
    # Of 11 candidates the places 0, 3.33, 6.67 and 10 are cut to 0, 3, 6 and 10.
    assert starts == [12, 84, 156, 252]
    assert select_clips(GROUP * 24, 1) == [12]


def test_one_i_frame_makes_one_clip_however_short() -> None:
    assert select_clips("I", 16) == [0]
    assert select_clips("PPIPP", 16) == [2]


@pytest.mark.parametrize("kinds", ["", "P", "PPPP"])
def test_no_i_frame_is_an_error(kinds: str) -> None:
    with pytest.raises(ValueError, match="no I-frame"):
        select_clips(kinds, 16)
