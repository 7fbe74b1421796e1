"""The quantiser: distances by hand, ties, and the order of rounding."""

from __future__ import annotations

import pytest
import torch

from lavit_eval.models.video_lavit import quantiser
from lavit_eval.models.video_lavit.quantiser import VectorQuantiser, nearest_codes


def with_rows(rows: list[list[float]]) -> VectorQuantiser:
    """A quantiser with this table."""
    made = VectorQuantiser(len(rows), len(rows[0]))
    with torch.no_grad():
        made.embedding.weight.copy_(torch.tensor(rows))
    return made


def test_vectors_are_brought_to_length_one_and_rows_are_not() -> None:
    """(3, 4) becomes (0.6, 0.8): squared distances 0.8, 0.4, 1.8; were rows normalised too, the last two would tie."""
    table = with_rows([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0]])
    assert table(torch.tensor([[3.0, 4.0], [300.0, 400.0]])).tolist() == [2, 2]


def test_ties_go_to_the_lowest_code() -> None:
    """Equal rows, at both ends of the table."""
    rows = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    rows[7] = rows[255] = rows[299] = torch.tensor([0.5, 0.5, 0.5, 0.5])
    table = with_rows(rows.tolist())
    assert table(torch.ones(2, 3, 4)).tolist() == [[7, 7, 7], [7, 7, 7]]


def test_half_precision_rounds_the_sum_of_squares_first() -> None:
    """1 + e^2 - 2e at e = 0.9453125 rounds to 0 in bfloat16 only if 1 + e^2 is added first; exactly, 1.0 is nearest."""
    table = with_rows([[0.94921875], [0.9453125], [1.0]])
    z = torch.tensor([[2.0]])
    assert table(z).tolist() == [2]
    assert table.to(torch.bfloat16)(z.bfloat16()).tolist() == [1]


def test_a_zero_vector_has_a_code() -> None:
    """It stays zero: the nearest row is the shortest."""
    assert with_rows([[1.0, 1.0], [0.5, 0.5]])(torch.zeros(1, 2)).tolist() == [1]


def test_codes_do_not_depend_on_how_many_vectors_are_searched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The matrix of distances is made in parts."""
    generator = torch.Generator().manual_seed(4)
    z, rows = torch.randn(37, 8, generator=generator), torch.randn(50, 8, generator=generator)
    whole = nearest_codes(z, rows)
    monkeypatch.setattr(quantiser, "VECTORS_AT_ONCE", 5)
    assert torch.equal(nearest_codes(z, rows), whole)


def test_codes_keep_the_shape_and_lookup_returns_stored_rows() -> None:
    """Also for no vectors at all."""
    table = with_rows([[0.0, 2.0], [1.5, 0.0]])
    codes = table(torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]]))
    assert codes.tolist() == [[0], [1]]
    assert table.lookup(codes).tolist() == [[[0.0, 2.0]], [[1.5, 0.0]]]
    assert table(torch.zeros(0, 2)).shape == (0,)
