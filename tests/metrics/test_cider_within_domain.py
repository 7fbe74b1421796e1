"""NoCaps's values by domain: each domain is scored as a set of its own."""

from __future__ import annotations

import pytest

from lavit_eval.category_scores import categories
from lavit_eval.metrics.cider import Cider
from lavit_eval.metrics.cider_within_domain import CiderWithinDomain
from lavit_eval.sample import Sample
from tests.metrics.captions import needs_java, total

WORDS = {"in-domain": ["a red bus", "a red car", "two red cats"], "out-domain": ["one old axe", "a red bus"]}


def images() -> list[Sample]:
    """Return five images in two domains that share words."""
    return [
        Sample(f"{domain}{number}", (), "", (f"{text} stands here", text), {"domain": domain})
        for domain, texts in WORDS.items()
        for number, text in enumerate(texts)
    ]


TEXTS = ["a red bus", "a car", "two cats stand", "an old axe", "a red bus stands"]


@needs_java
@pytest.mark.parametrize("domain", sorted(WORDS))
def test_a_domain_has_the_value_of_the_domain_alone(domain: str) -> None:
    asked = images()
    found = categories(CiderWithinDomain().measure(asked, TEXTS), asked)["domain"][domain]
    held = [index for index, sample in enumerate(asked) if sample.categories["domain"] == domain]
    alone = Cider().measure([asked[index] for index in held], [TEXTS[index] for index in held])
    assert (found["value"], found["n"]) == (pytest.approx(total(alone)), len(held))
    whole = categories(Cider().measure(asked, TEXTS), asked)["domain"][domain]["value"]
    assert found["value"] != pytest.approx(whole, rel=1e-6)


@needs_java
def test_without_domains_it_is_cider() -> None:
    bare = [Sample(one.id, (), "", one.references) for one in images()]
    assert total(CiderWithinDomain().measure(bare, TEXTS)) == pytest.approx(total(Cider().measure(bare, TEXTS)))
