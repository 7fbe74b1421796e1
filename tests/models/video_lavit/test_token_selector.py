"""The selector: its noise, its ties, and what a patch's score depends on."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from lavit_eval.models.video_lavit.token_selector import TokenSelector, gumbel_noise, keep_decision
from tests.models.video_lavit.seeded_weights import seeded


def test_noise_is_what_torchs_gumbel_softmax_draws() -> None:
    """The same seed gives the same bits, so draws of the published code can be repeated."""
    scores = F.log_softmax(torch.randn(3, 16, 2, generator=torch.Generator().manual_seed(5)), dim=-1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        expected = F.gumbel_softmax(scores, tau=1, hard=False)
        hard = F.gumbel_softmax(scores, tau=1, hard=True)
    generator = torch.Generator().manual_seed(11)
    assert torch.equal(torch.softmax(scores + gumbel_noise((3, 16, 2), generator), dim=-1), expected)
    assert torch.equal(keep_decision(scores, gumbel_noise((3, 16, 2), generator)), hard[..., 0] == 1)


def test_noise_leaves_the_global_generator_alone() -> None:
    """And has the extreme-value mean, Euler's constant."""
    before = torch.random.get_rng_state()
    noise = gumbel_noise((100_000,), torch.Generator().manual_seed(0))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert noise.dtype == torch.float32
    assert abs(float(noise.mean()) - 0.5772) < 0.02


def test_a_patch_is_kept_with_the_probability_of_its_score() -> None:
    """0.3 of 40000 draws, within five standard deviations."""
    scores = torch.tensor([0.3, 0.7]).log().expand(40_000, 2)
    kept = keep_decision(scores, gumbel_noise(scores.shape, torch.Generator().manual_seed(1)))
    assert abs(float(kept.float().mean()) - 0.3) < 5 * (0.3 * 0.7 / 40_000) ** 0.5


def test_ties_after_the_softmax_are_kept() -> None:
    """In bfloat16 both probabilities round to one half; in float32 the second is larger."""
    scores, noise = torch.zeros(1, 2), torch.tensor([[0.0, 1e-3]])
    assert keep_decision(scores.bfloat16(), noise).tolist() == [True]
    assert keep_decision(scores, noise).tolist() == [False]


def test_without_noise_the_more_probable_class_wins_and_ties_are_kept() -> None:
    """The deterministic variant."""
    assert keep_decision(torch.tensor([[0.4, 0.6], [0.5, 0.5], [0.6, 0.4]]).log(), None).tolist() == [False, True, True]


def test_scores_follow_their_patches_and_are_log_probabilities() -> None:
    """Patches have no position here: in another order they have the same scores in that order."""
    selector = seeded(TokenSelector(16))
    features = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(2))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    scores = selector(features)
    torch.testing.assert_close(selector(features[:, order]), scores[:, order], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(scores.exp().sum(dim=-1), torch.ones(2, 9))


def test_a_score_depends_on_the_other_patches_of_its_image_alone() -> None:
    """Half of the channels are the image's mean."""
    selector = seeded(TokenSelector(16))
    features = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(2))
    changed = features.clone()
    changed[0, 4] += torch.arange(16) % 3
    moved = (selector(changed) - selector(features)).abs().amax(dim=-1) > 1e-6
    assert moved[0].all()
    assert not moved[1].any()
