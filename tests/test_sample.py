"""What makes samples dependent: a group, a shared medium, or nothing."""

from __future__ import annotations

import pytest

from lavit_eval.sample import Medium, Sample, Segment

PICTURE = Medium("image", "/data/p.jpg", "p.jpg")


@pytest.mark.parametrize(
    ("media", "group", "cluster"),
    [((), "", "7"), ((PICTURE,), "", "p.jpg"), ((), "prompt 3", "prompt 3"), ((PICTURE,), "prompt 3", "prompt 3")],
)
def test_the_cluster_is_the_group_else_the_medium_else_the_sample(
    media: tuple[Medium, ...], group: str, cluster: str
) -> None:
    assert Sample("7", media, "", (), group=group).cluster == cluster


def test_a_target_makes_no_cluster() -> None:
    assert Sample("7", (), "", (), targets=(PICTURE,)).cluster == "7"


def test_segments_of_a_video_are_dependent_and_other_media() -> None:
    parts = [Medium("video", "/data/v.mp4", "v.mp4", Segment.seconds(0, end)) for end in (1, 2)]
    assert parts[0] != parts[1]
    assert len({Sample("7", (part,), "", ()).cluster for part in parts}) == 1


def test_only_videos_have_segments_and_rates() -> None:
    for fields in ({"segment": Segment.seconds(0, 1)}, {"rate": 3}):
        with pytest.raises(ValueError, match=r"only a video has a segment or a rate, unlike p\.jpg"):
            Medium("image", "/data/p.jpg", "p.jpg", **fields)  # type: ignore[arg-type]
