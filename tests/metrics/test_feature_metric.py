"""What all metrics of features share: needs, rows, and the groups of the jackknife."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lavit_eval.metrics.feature_metric import GROUPS, Need, prompt_groups, recipe_fingerprint
from lavit_eval.metrics.feature_protocol import KINDS, load_protocol, names
from lavit_eval.registry import BUILT_IN, find
from tests.metrics.rows import changed, normal, rows

FEATURE_METRICS = [name for name in BUILT_IN["metric"] if hasattr(find("metric", name), "measure_features")]


def prompts(count: int, per_prompt: int = 1) -> dict[str, str]:
    return {f"sample {place}": f"prompt {place // per_prompt}" for place in range(count)}


@given(st.integers(1, 130), st.integers(1, 3))
def test_groups_are_nearly_equal_and_prompts_stay_together(count: int, per_prompt: int) -> None:
    given_prompts = prompts(count * per_prompt, per_prompt)
    found = prompt_groups(given_prompts)
    sizes = Counter(found.values())
    assert set(sizes) == set(range(min(GROUPS, count)))
    assert max(sizes.values()) - min(sizes.values()) <= per_prompt
    assert len({(given_prompts[one], group) for one, group in found.items()}) == count


def test_groups_do_not_depend_on_the_order_or_the_names_of_samples() -> None:
    asked = prompts(50, 2)
    found = prompt_groups(asked)
    assert prompt_groups(dict(reversed(asked.items()))) == found
    renamed = prompt_groups({f"other {one}": prompt for one, prompt in asked.items()})
    assert renamed == {f"other {one}": group for one, group in found.items()}
    # Neighbours in a list are often alike; they are dealt to different groups.
    assert sum(found[f"sample {2 * place}"] == found[f"sample {2 * place + 2}"] for place in range(24)) < 8
    assert prompt_groups({}) == {}


def test_groups_are_the_same_on_every_machine() -> None:
    asked = prompts(60)
    ranked = sorted(asked.values(), key=lambda prompt: hashlib.sha256(f'"{prompt}"'.encode()).hexdigest())
    assert prompt_groups(asked) == {one: ranked.index(prompt) % 20 for one, prompt in asked.items()}


def test_frames_are_pooled_with_the_group_of_their_video() -> None:
    one = rows([normal(1, 3, 2), normal(2, 1, 2), normal(3, 2, 2)], np.array([5, 0, 5]))
    found, groups = one.pooled()
    np.testing.assert_array_equal(found, np.concatenate(one.rows))
    assert groups.tolist() == [5, 5, 5, 0, 5, 5]
    clips = rows(normal(4, 3, 7))
    np.testing.assert_array_equal(clips.stacked(), normal(4, 3, 7))


def test_a_need_names_all_that_decides_its_features() -> None:
    protocol = load_protocol("stylegan-v")
    assert protocol.real is not None
    made, real = Need("made", protocol, protocol.generated), Need("real", protocol, protocol.real)
    assert made.extraction() != real.extraction()
    assert made.extraction() == Need("real", protocol, protocol.generated).extraction()
    assert made.extraction() | {"of": "pair"} == Need("pair", protocol, protocol.generated).extraction()
    clip = load_protocol("clipsim-vitb32")
    caption = Need("caption", clip, clip.generated).extraction()
    assert caption == {"network": "clip", "demo": False, "of": "caption", "dtype": "float32"}
    demo = clip.with_demo_features()
    assert Need("caption", demo, demo.generated).extraction() != caption


def test_the_fingerprint_of_a_recipe_follows_its_protocols_and_roles() -> None:
    tats, google = load_protocol("tats"), load_protocol("google")
    needs = {"generated": Need("made", tats, tats.generated), "real": Need("real", tats, tats.generated)}
    before = recipe_fingerprint(needs)
    assert recipe_fingerprint(dict(reversed(needs.items()))) == before
    for other in (
        {"real": Need("real", google, google.generated)},
        {"real": Need("made", tats, tats.generated)},
        {"captions": Need("caption", tats, tats.generated)},
    ):
        assert recipe_fingerprint({**needs, **other}) != before
    renamed = changed("tats", protocol="mine", description="x")
    assert recipe_fingerprint({**needs, "real": Need("real", renamed, renamed.generated)}) == before


@pytest.mark.parametrize("name", FEATURE_METRICS)
def test_every_metric_takes_its_default_protocol_and_others_of_its_network(name: str) -> None:
    metric = find("metric", name)
    usual = load_protocol(metric.default_protocol)
    assert usual.network == metric.network and metric.weights in (None, usual.weights)
    assert metric.__doc__ and metric.version >= 1
    for other in map(load_protocol, names()):
        if other.network == metric.network and (other.real or not usual.real):
            needs = metric().needs(other)
            assert needs["generated"].protocol is other
            assert {need.role for need in needs.values()} <= {"made", "real", "caption", "pair"}
            assert all(need.protocol.network in KINDS for need in needs.values())


def test_groups_are_integers() -> None:
    assert rows(normal(1, 4, 2)).groups.dtype == np.int64
