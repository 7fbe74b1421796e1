"""No caption metric depends on the order of the responses."""

from __future__ import annotations

import pytest

from lavit_eval.metrics.bleu import Bleu1, Bleu4
from lavit_eval.metrics.cider import Cider
from lavit_eval.metrics.meteor import Meteor
from lavit_eval.metrics.protocol import Metric
from lavit_eval.metrics.rouge import RougeL
from tests.metrics.captions import TEXTS, needs_java, samples, total

ORDER = [3, 1, 4, 0, 2]


@needs_java
@pytest.mark.parametrize(
    "metric",
    [Bleu1(), Bleu4(), RougeL(), Cider(), pytest.param(Meteor(), marks=pytest.mark.slow)],
    ids=lambda one: type(one).__name__,
)
def test_order_changes_no_value(metric: Metric) -> None:
    images = samples()
    expected = metric.measure(images, TEXTS)
    found = metric.measure([images[n] for n in ORDER], [TEXTS[n] for n in ORDER])
    assert total(found) == pytest.approx(total(expected), rel=1e-12)
    scores = [record["score"] for record in expected.per_sample]
    assert [record["score"] for record in found.per_sample] == pytest.approx([scores[n] for n in ORDER], rel=1e-12)
