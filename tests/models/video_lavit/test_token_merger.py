"""The merger: weights by hand, who sees whom, and images of which all or nothing is kept."""

from __future__ import annotations

from math import log

import torch

from lavit_eval.models.video_lavit.token_merger import (
    TokenCausalAttention,
    TokenCrossAttention,
    TokenMerger,
    causal_policy,
    dropped_policy,
    leaky_masked_softmax,
)
from tests.models.video_lavit.seeded_weights import TINY_VISUAL, seeded


def draw(*shape: int) -> torch.Tensor:
    """Seeded normal values."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def test_weights_of_three_keys_by_hand() -> None:
    """Scores 0, log 2, log 4, the second excluded: exp(score - log 4) is 1/4, 1/2, 1, of which 1/4 and 1 count."""
    found = leaky_masked_softmax(torch.tensor([0.0, log(2), log(4)]).double(), torch.tensor([1.0, 0.0, 1.0]))
    total = 1.25 + 1e-6
    expected = torch.tensor([(0.25 + 1e-6 / 3) / total, (1e-6 / 3) / total, (1 + 1e-6 / 3) / total]).double()
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-6)


def test_a_row_without_admitted_keys_weighs_all_alike() -> None:
    """Whatever the scores are."""
    found = leaky_masked_softmax(draw(4, 8), torch.zeros(1, 8))
    torch.testing.assert_close(found, torch.full((4, 8), 1 / 8))


def test_an_excluded_key_with_the_largest_score_drives_weights_to_uniform() -> None:
    """The largest score is taken over all keys: this is not masking with minus infinity."""
    far = leaky_masked_softmax(torch.tensor([200.0, 0.0]), torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(far, torch.tensor([0.5, 0.5]))
    near = leaky_masked_softmax(torch.tensor([log(1e6), 0.0]), torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(near, torch.tensor([0.25, 0.75]), atol=1e-4, rtol=0)


def test_weights_are_computed_in_float32_and_returned_in_the_dtype_of_the_scores() -> None:
    """The trace of an excluded key among 256 vanishes in float16."""
    scores = torch.zeros(256, dtype=torch.float16)
    policy = torch.ones(256)
    policy[3] = 0
    found = leaky_masked_softmax(scores, policy)
    assert found.dtype == torch.float16
    assert float(found[3]) == 0
    assert float(leaky_masked_softmax(scores.float(), policy)[3]) > 0


def test_policies_by_hand() -> None:
    """Kept patches before the query and the query itself; dropped patches."""
    keep = torch.tensor([[True, False, True]])
    assert causal_policy(keep)[0, 0].tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert dropped_policy(keep)[0, 0].tolist() == [[0, 1, 0]]


def test_causal_attention_does_not_see_what_comes_later_nor_what_is_dropped() -> None:
    """But for the trace, which is a millionth."""
    layer, x = seeded(TokenCausalAttention(12, 3)), draw(1, 6, 12)
    policy = causal_policy(torch.tensor([[1, 0, 1, 1, 1, 1]]))
    changed = x.clone()
    changed[:, [1, 4]] += 1
    moved = (layer(changed, policy) - layer(x, policy)).abs().amax(dim=-1)[0]
    assert (moved[[0, 2, 3]] < 1e-5).all()
    assert (moved[[1, 4, 5]] > 1e-3).all()


def test_cross_attention_sees_dropped_patches_alone() -> None:
    """And each of them, also behind the query."""
    layer, x = seeded(TokenCrossAttention(12, 3)), draw(1, 4, 12)
    policy = dropped_policy(torch.tensor([[1, 0, 1, 0]]))
    source = draw(1, 4, 12) + 1

    def moved(patch: int) -> torch.Tensor:
        changed = source.clone()
        changed[:, patch] += 1
        return (layer(x, changed, policy) - layer(x, source, policy)).abs().amax(dim=-1)[0]

    assert (moved(0) < 1e-5).all()
    assert (moved(3) > 1e-3).all()


def test_if_all_is_kept_cross_attention_is_the_plain_mean() -> None:
    """No key is admitted, so all weigh alike."""
    layer, x, source = seeded(TokenCrossAttention(12, 3)), draw(2, 5, 12), draw(2, 5, 12) + 1
    found = layer(x, source, dropped_policy(torch.ones(2, 5)))
    mean = layer.proj(layer.value(source).mean(dim=1, keepdim=True)).expand_as(found)
    torch.testing.assert_close(found, mean, atol=1e-5, rtol=1e-5)


def test_images_of_which_all_or_nothing_is_kept_merge_as_they_do_alone() -> None:
    """Beside each other and beside a mixed one."""
    merger, features = seeded(TokenMerger(TINY_VISUAL)), draw(3, 16, 24)
    keep = torch.stack((torch.ones(16), torch.zeros(16), torch.arange(16) % 2)).bool()
    together = merger(features, keep)
    assert torch.isfinite(together).all()
    alone = torch.cat([merger(features[i : i + 1], keep[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_parameter_the_features_and_the_decisions() -> None:
    """Decisions may be a straight-through estimate."""
    merger, features = seeded(TokenMerger(TINY_VISUAL)), draw(1, 16, 24).requires_grad_()
    keep = (torch.arange(16) % 2).float()[None].requires_grad_()
    merger(features, keep).pow(2).sum().backward()
    assert all(parameter.grad is not None for parameter in merger.parameters())
    assert features.grad is not None
    assert keep.grad is not None
    assert float(keep.grad.abs().sum()) > 0
