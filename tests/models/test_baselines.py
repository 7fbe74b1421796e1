from __future__ import annotations

from dataclasses import replace

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.models.baselines import Constant, MostCommonAnswer, RandomOption
from lavit_eval.models.protocol import Model, ModelFactory, ModelOptions
from lavit_eval.sample import Request, Sample, Seeds, Settings, derive_seed


def request(number: int) -> Request:
    return Request(str(number), 0, "answer", (), "What?", Settings(), Seeds(42, 0, 0))


def sample(number: int, *references: str) -> Sample:
    return Sample(str(number), (), "What?", references)


def test_a_model_is_one_class() -> None:
    factories: list[ModelFactory] = [Constant, MostCommonAnswer]
    models: list[Model] = [factory.load(ModelOptions()) for factory in factories]
    assert all("answer" in model.capabilities for model in models)
    assert [factory.preflight(ModelOptions()) for factory in factories] == [[], []]


def test_constant_gives_its_answer() -> None:
    requests = [request(number) for number in range(3)]
    assert {response.text for response in Constant.load(ModelOptions()).respond(requests)} == {"yes"}
    model = Constant.load(ModelOptions(arguments={"answer": "two"}))
    responses = model.respond(requests)
    assert [(response.key, response.text, response.outcome) for response in responses] == [
        (item.key, "two", "answered") for item in requests
    ]


def test_identity_of_constant_is_its_answer() -> None:
    identities = [Constant.identify(ModelOptions(arguments=arguments)) for arguments in ({}, {"answer": "no"})]
    assert identities[0] != identities[1]
    assert identities[0] == Constant.identify(ModelOptions(arguments={"answer": "yes"}, dtype="float16"))
    assert identities[0] != MostCommonAnswer.identify(ModelOptions())


def test_most_common_answer_counts_references() -> None:
    model = MostCommonAnswer.load(ModelOptions())
    model.prepare("first", [sample(0, "dog"), sample(1, "cat"), sample(2, "dog", "dog", "cat")])
    assert [response.text for response in model.respond([request(0), request(1)])] == ["dog", "dog"]
    model.prepare("second", [sample(0, "b"), sample(1, "a"), sample(2, "c")])
    assert model.respond([request(0)])[0].text == "a", "the first in alphabetical order wins a tie"


def test_most_common_answer_needs_references() -> None:
    model = MostCommonAnswer.load(ModelOptions())
    with pytest.raises(ValueError, match="before it was told"):
        model.respond([request(0)])
    with pytest.raises(UsageError, match="hidden_test publishes no references"):
        model.prepare("hidden_test", [sample(0)])


@pytest.mark.parametrize(("factory", "known"), [(Constant, "answer"), (MostCommonAnswer, "none")])
def test_unknown_arguments_are_refused(factory: type[Constant] | type[MostCommonAnswer], known: str) -> None:
    options = ModelOptions(arguments={"anser": "x"})
    assert f"--model-args knows {known}" in factory.preflight(options)[0]
    with pytest.raises(UsageError, match="'anser'"):
        factory.load(options)


def test_baselines_choose_by_letter() -> None:
    asked = replace(request(0), kind="choose", options=("cat", "dog"))
    assert Constant.load(ModelOptions(arguments={"answer": "dog"})).respond([asked])[0].text == "dog"
    model = MostCommonAnswer.load(ModelOptions())
    model.prepare("mc", [sample(0, "B"), sample(1, "B"), sample(2, "A")])
    (response,) = model.respond([asked])
    assert (response.text, response.likelihoods) == ("B", None), "a baseline has no likelihoods to invent"


def test_random_options_are_even_and_belong_to_the_sample() -> None:
    model = RandomOption.load(ModelOptions())
    asked = [
        Request(str(n), 0, "choose", (), "?", Settings(), Seeds(42, 0, derive_seed("write", str(n))), ("a", "b", "c"))
        for n in range(900)
    ]
    texts = [response.text for response in model.respond(asked)]
    assert set(texts) == {"A", "B", "C"}
    assert all(250 < texts.count(letter) < 350 for letter in "ABC")
    assert [response.text for response in model.respond(asked[::-1])] == texts[::-1]
    assert RandomOption.capabilities == {"choose"}
    assert (
        "random-option has no model argument 'seed'" in RandomOption.preflight(ModelOptions(arguments={"seed": "1"}))[0]
    )
