"""What makes samples dependent: a group, a shared medium, or nothing."""

from __future__ import annotations

import pytest

from lavit_eval.sample import Medium, Sample

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
