"""What the damage table takes for a difference of likelihoods is far beyond what rounding does to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lavit_eval.demo.material import canary_checkpoint, demo_data
from tests.canary import chain
from tests.canary.chain import LEAST_NATS, LIKELIHOODS, Chain


@pytest.mark.slow
def test_another_batch_size_and_other_threads_move_no_likelihood_that_far(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Chain(demo_data(), canary_checkpoint("canary/final"), 8)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        before = one.run(cached=True)
        monkeypatch.setattr(chain, "BATCH", 7)
        torch.set_num_threads(2)
        after = one.run(cached=True)
    finally:
        torch.set_num_threads(threads)
    moved = max(float(np.abs(before.scores[task] - after.scores[task]).max()) for task in LIKELIHOODS)
    assert moved < 1e-5 < LEAST_NATS
