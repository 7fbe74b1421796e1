"""The checks of generation cases fail where they must."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.parity.case import Case
from tests.parity.generation_case import check, check_all, check_frames, draws, weights_of


@pytest.fixture
def made(tmp_path: Path) -> Case:
    """Two outputs, one drawn tensor of two rows, and weights in another file."""
    facts = {"kind": "x", "draw_order": ["000_init [2, 3]", "001_euler_step_unused [2, 3]"], "weights_files": ["w"]}
    (tmp_path / "a.json").write_text(json.dumps(facts))
    stored = {"outputs/a": torch.ones(4), "outputs/b": torch.arange(3), "draws/000_init": torch.randn(2, 3)}
    save_file(stored, tmp_path / "a.safetensors")
    save_file({"weights/unet.x": torch.ones(2, dtype=torch.float16)}, tmp_path / "w.safetensors")
    return Case(tmp_path / "a.json", "x")


def test_an_output_that_nothing_is_compared_with_fails(made: Case) -> None:
    check_all({"a": torch.ones(4), "b": torch.arange(3)}, made)
    with pytest.raises(AssertionError, match="nothing is compared with"):
        check_all({"a": torch.ones(4)}, made)


@pytest.mark.parametrize("value", [1.003, float("nan"), float("inf")])
def test_a_float_beyond_the_limit_fails(made: Case, value: float) -> None:
    check(torch.full((4,), 1.001), torch.ones(4), "a", made)
    with pytest.raises(AssertionError, match="differs by"):
        check(torch.tensor([1.0, 1.0, 1.0, value]), torch.ones(4), "a", made)


def test_frames_may_differ_by_one_level_in_a_thousandth(made: Case) -> None:
    old = torch.zeros(1000, dtype=torch.uint8)
    one, two, often = old.clone(), old.clone(), old.clone()
    one[0], two[0], often[:2] = 1, 2, 1
    check_frames(one, old, "f", made)
    for wrong in (two, often, one.int()):
        with pytest.raises(AssertionError):
            check_frames(wrong, old, "f", made)


def test_draws_come_row_by_row_in_their_order_and_are_all_asked_for(made: Case) -> None:
    first, second = draws(made)
    assert torch.equal(first.normal("init", (1, 3)), made.stored()["draws/000_init"][:1])
    first.finish()
    with pytest.raises(AssertionError, match="used up"):
        first.normal("init", (1, 3))
    with pytest.raises(AssertionError, match="not drawn"):
        second.finish()
    with pytest.raises(AssertionError, match="recorded"):
        second.normal("init", (3,))


def test_weights_of_named_files_are_upcast_and_split_by_child(made: Case) -> None:
    found = weights_of(made, "unet")
    assert list(found) == ["x"]
    assert found["x"].dtype == torch.float32
