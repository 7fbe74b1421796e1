"""Checks of recorded prompts, post-processing, stopping, and of the whole understanding model around its LLaMA."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig

from lavit_eval.models.video_lavit.answer import clean_answer
from lavit_eval.models.video_lavit.beam_search import Hypothesis, beam_search
from lavit_eval.models.video_lavit.config import MotionConfig, TokenSpace, VisualConfig
from lavit_eval.models.video_lavit.generation import generate, text_only
from lavit_eval.models.video_lavit.splice import PAD, Spliced, clip_blocks, image_block, splice
from lavit_eval.models.video_lavit.stopping import StopRule
from lavit_eval.models.video_lavit.tokenizer import PLACEHOLDERS, SYSTEM, Tokenizer, build_prompt
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.sample import Settings
from tests.parity.case import Case, assert_close

NOTHING = range(0)
KINDS = ("image", "video", "text")
GREEDY = Settings(min_new_tokens=8, max_new_tokens=24)
NOT_COMPARED = ("out/refbatch_", "out/refcopies_")
"""Quirks of the reference: decode steps of a batch on a wrong mask, and selection noise per beam."""


def check_prompts(case: Case) -> None:
    """Compare prompt strings and their ids, the template, the stop string's ids and the special ids."""
    tokenizer = Tokenizer(case.tokenizer_path())
    for row in case.facts["rows"]:
        question, kind = row["question"], row["kind"]
        assert build_prompt(question, kind) == row["prompt"]
        assert tokenizer.prompt_ids(question, kind, every_placeholder=True) == row["input_ids"], question
        if not any(text in question for text, _ in PLACEHOLDERS.values()):
            assert tokenizer.prompt_ids(question, kind) == row["input_ids"], question
    if "template" in case.facts:
        assert case.facts["template"]["system"] == SYSTEM
    if "stop" in case.facts:
        assert list(StopRule.of(tokenizer).keyword_ids) == case.facts["stop"]["ids"]
    if "special" in case.facts:
        special = case.facts["special"]
        found = {"bos": tokenizer.bos, "eos": tokenizer.eos, "pad": tokenizer.pad, "vocab": tokenizer.size}
        assert found == {name: special[name] for name in found}


def check_runner(case: Case) -> None:
    """Compare post-processed answers, what is suppressed, and the recorded prompt ids and mask."""
    for row in case.facts["rows"]:
        assert clean_answer(row["decoded"]) == row["plain"], row
        assert clean_answer(row["decoded"], truncate=True) == row["truct_vqa"], row
    if "suppress_tokens" in case.facts:
        space = TokenSpace()
        assert [space.text, space.total - 1, space.total - space.text] == case.facts["suppress_tokens"]
    ids, masks = case.facts.get("batch_ids_right_padded", []), case.facts.get("attention_mask", [])
    for row, mask in zip(ids, masks, strict=True):
        assert [int(token != PAD) for token in row] == mask


def check_stopping(case: Case) -> None:
    """Compare the keyword's ids, and per recorded batch whether every row has met the keyword."""
    facts = case.facts
    rule = StopRule.of(Tokenizer(case.tokenizer_path()), facts["keyword"])
    assert list(rule.keyword_ids) == facts["keyword_ids"]
    prompt = facts["prompt_length"]
    for row in facts["rows"]:
        found = all(rule.hit(ids[:prompt], ids[prompt:]) for ids in row["output_ids"])
        assert found == row["stop"], row


def _known(config: type[VisualConfig] | type[MotionConfig], sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes without what only the maker of the case used."""
    return {item.name: sizes[item.name] for item in fields(config) if item.name in sizes}


def _load_model(case: Case, weights: Mapping[str, Tensor]) -> UnderstandingModel:
    sizes = case.facts["config"]
    tokens = TokenSpace()
    llama = LlamaConfig(
        vocab_size=tokens.total,
        hidden_size=sizes["hidden"],
        intermediate_size=sizes["inter"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        rms_norm_eps=1e-5,
        max_position_embeddings=4096,
    )
    head_out = weights["model.visual_tokenizer.encoder.head.weight"].shape[0]
    visual = VisualConfig(**_known(VisualConfig, sizes["vis"]), llm_dim=sizes["hidden"], head_out=head_out)
    motion = MotionConfig(**_known(MotionConfig, sizes["motion"]))
    with torch.device("meta"):
        model = UnderstandingModel(llama, visual, motion, tokens)
    decoder = ("model.motion_tokenizer.decoder.", "model.motion_tokenizer.decode_task_layer.")
    omitted = {name: value for name, value in model.state_dict().items() if name.startswith(decoder)}
    assert not set(omitted) & set(weights)
    # Strict but for these: a name that the model has not, or lacks, fails.
    model.load_state_dict({**weights, **{n: torch.zeros(v.shape) for n, v in omitted.items()}}, assign=True)
    return model


def _dense_weights(case: Case, vocabulary: int) -> dict[str, Tensor]:
    """Return the weights; embedding and head are stored as some of their rows, the others are zero."""
    weights = case.weights()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        rows, places = weights.pop(f"{name}.rows"), weights.pop(f"{name}.row_ids")
        weights[name] = torch.zeros(vocabulary, rows.shape[1]).index_copy(0, places, rows)
    return weights


class _Outputs:
    """The recorded outputs, of which none may be left unlooked at."""

    def __init__(self, case: Case, tensors: Mapping[str, Tensor]) -> None:
        self.case = case
        self.left = {name: tensor for name, tensor in tensors.items() if name.startswith("out/")}
        self.left = {name: tensor for name, tensor in self.left.items() if not name.startswith(NOT_COMPARED)}

    def take(self, name: str) -> Tensor:
        return self.left.pop(f"out/{name}")

    def compare(self, name: str, found: Tensor) -> None:
        assert_close(found, self.take(name), self.case, name)


def check_understanding_llm(case: Case) -> None:
    """Compare everything from pixels to the written ids, one by one and in a batch."""
    tensors = case.tensors()
    model = _load_model(case, _dense_weights(case, TokenSpace().total))
    outputs = _Outputs(case, tensors)
    tokenizer = Tokenizer(case.tokenizer_path())
    prompts = [tensors[f"in/ids_{kind}"].tolist() for kind in KINDS]
    for kind, question, ids in zip(KINDS, case.facts["questions"], prompts, strict=True):
        assert tokenizer.prompt_ids(question, kind) == ids  # type: ignore[arg-type]
    visuals = _check_visuals(model, tensors, outputs)
    batch = splice(model, prompts, visuals)
    longest = max(len(ids) for ids in prompts)
    outputs.compare("prepare_input_ids", torch.tensor([ids + [PAD] * (longest - len(ids)) for ids in prompts]))
    outputs.compare("prepare_inputs_embeds", batch.embeds)
    outputs.compare("prepare_attention_mask", batch.mask)
    outputs.compare("prepare_position_ids", batch.positions)
    stop = StopRule.of(tokenizer)
    together = generate(model, batch, prompts, GREEDY, stop)
    for kind, ids, visual, in_batch in zip(KINDS, prompts, visuals, together, strict=True):
        alone = splice(model, [ids], [visual])
        _check_prefill(model, alone, kind, tensors["w/lm_head.weight.row_ids"], outputs)
        _check_greedy(model, alone, ids, kind, stop, in_batch, outputs, tokenizer)
        _check_beams(model, alone, ids, kind, stop, outputs)
    assert not outputs.left, f"{case.name}: recorded but not compared: {sorted(outputs.left)}"


def _check_visuals(model: UnderstandingModel, tensors: Mapping[str, Tensor], outputs: _Outputs) -> list[Tensor | None]:
    codes = model.read_motion(tensors["in/motion"])
    outputs.compare("motion_ids", codes)
    image = image_block(model, model.see(tensors["in/image"], tensors["in/noise_image"])[0])
    keyframes = model.see(tensors["in/video"], tensors["in/noise_video"])
    video = torch.cat(clip_blocks(model, keyframes, codes))
    outputs.compare("visual_embeds", torch.cat([image, video]))
    outputs.compare("visual_embeds_len", torch.tensor([len(image), len(video)]))
    return [image, video, None]


def _check_prefill(model: UnderstandingModel, alone: Spliced, kind: str, columns: Tensor, outputs: _Outputs) -> None:
    outputs.compare(f"prefill_hidden_last_layer_{kind}", model.hidden_states(*alone)[0])
    outputs.compare(f"prefill_logits_last_{kind}", model.last_logits(*alone)[0, columns])


def _check_greedy(
    model: UnderstandingModel,
    alone: Spliced,
    prompt: Sequence[int],
    kind: str,
    stop: StopRule,
    in_batch: list[int],
    outputs: _Outputs,
    tokenizer: Tokenizer,
) -> None:
    expected = outputs.take(f"greedy_{kind}").tolist()
    if expected[-1] == stop.eos:
        del expected[-1]
    assert generate(model, alone, [prompt], GREEDY, stop) == [expected], kind
    assert in_batch == expected, f"{kind} within the batch of image, video and text"
    decoded = outputs.case.facts.get("facts", {}).get("decoded", {}).get(f"greedy_{kind}")
    assert decoded is None or tokenizer.decode(expected) == decoded
    eight = Settings(min_new_tokens=8, max_new_tokens=8)
    found = generate(model, alone, [prompt], eight, StopRule(stop.eos), suppressed=NOTHING)
    outputs.compare(f"greedy_not_suppressed_{kind}", torch.tensor(found[0]))


def _check_beams(
    model: UnderstandingModel, alone: Spliced, prompt: Sequence[int], kind: str, stop: StopRule, outputs: _Outputs
) -> None:
    """Compare the returned sequences, best first, and their scores, for every recorded number of beams and penalty."""
    for name in [name.removeprefix("out/") for name in outputs.left if name.endswith(f"_{kind}")]:
        head, _, rest = name.removeprefix("beam").partition("_lp")
        if not name.startswith("beam") or "scores" in name:
            continue
        penalty = rest.removesuffix(f"_{kind}")
        beams = Settings(
            num_beams=int(head),
            min_new_tokens=GREEDY.min_new_tokens,
            max_new_tokens=GREEDY.max_new_tokens,
            length_penalty=float(penalty),
        )
        found = beam_search(model, alone, prompt, beams, stop, text_only(model))
        outputs.compare(name, _rectangle(found, GREEDY.max_new_tokens, stop.eos))
        scores = torch.tensor([hypothesis.score for hypothesis in found])
        outputs.compare(f"beam{head}_lp{penalty}_scores_{kind}", scores)


def _rectangle(found: Sequence[Hypothesis], most: int, eos: int) -> Tensor:
    """Return the sequences as transformers does: the end id where one fits, then padding."""
    width = min(max(len(hypothesis.ids) for hypothesis in found) + 1, most)
    rows = [[*hypothesis.ids, eos, *[PAD] * width][:width] for hypothesis in found]
    return torch.tensor(rows)


CHECKS: dict[str, Callable[[Case], Any]] = {
    "prompts": check_prompts,
    "runner": check_runner,
    "stopping": check_stopping,
    "understanding_llm": check_understanding_llm,
}
