"""Checks of recorded token generation and of whole paths from a prompt to a video."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lavit_eval.models.video_lavit.token_generation import Marks, Written, write_tokens
from lavit_eval.sample import Settings
from tests.parity.case import Case
from tests.parity.generation_case import RecordedDraws, check_all, inputs_of, numbered
from tests.parity.generation_paths import TOKENS, check_path, load_llama


def _settings(arguments: dict[str, Any], most: int, sampled: bool) -> Settings:
    """Return the recorded arguments, the others as the reference's functions have them."""
    return Settings(
        do_sample=sampled,
        max_new_tokens=arguments.get("max_new_tokens", most),
        min_new_tokens=arguments.get("min_new_tokens", 20),
        temperature=arguments.get("temperature", 1.0),
        top_k=arguments.get("top_k", 50),
        top_p=arguments.get("top_p", 0.9),
    )


def _check_ids(case: Case, marks: Marks, settings: Settings) -> None:
    """Compare the rows as one batch and each alone; uniform numbers are recorded for a single row only."""
    inputs = inputs_of(case)
    prompts: list[list[int]] = [prompt.tolist() for prompt in numbered(inputs, "prompt")]
    given = inputs.get("uncond_input_ids")
    unconditional = None if given is None else given.tolist()
    model = load_llama(case)
    guidance = case.facts["arguments"].get("guidance_scale", 3.0)

    def write(rows: range) -> dict[str, Tensor]:
        free = None if unconditional is None else [unconditional[row] for row in rows]
        uniforms = inputs["uniforms"].tolist() if settings.do_sample else []
        draws = [RecordedDraws([], uniforms) for _ in rows]
        chosen = [prompts[row] for row in rows]
        written = write_tokens(model, chosen, marks, settings, guidance, draws, free)
        return _named(dict(zip(rows, written, strict=True)))

    check_all(write(range(len(prompts))), case)
    alone = [write(range(row, row + 1)) for row in range(len(prompts))]
    check_all({name: ids for row in alone for name, ids in row.items()}, case)


def _named(written: dict[int, Any]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for row, text in written.items():
        assert isinstance(text, Written), text
        found |= {f"full_{row}": torch.tensor(text.full), f"new_{row}": torch.tensor(text.new)}
    return found


def check_image_ids(case: Case) -> None:
    """Compare greedily written visual ids."""
    arguments = case.facts["arguments"]
    assert not arguments.get("use_nucleus_sampling", False), "sampled ids are of the kind image_ids_sampled"
    _check_ids(case, Marks.image(TOKENS), _settings(arguments, 200, sampled=False))


def check_motion_ids(case: Case) -> None:
    """Compare greedily written motion ids."""
    _check_ids(case, Marks.motion(TOKENS), _settings(case.facts["arguments"], 300, sampled=False))


def check_image_ids_sampled(case: Case) -> None:
    """Compare visual ids that were chosen by recorded uniform numbers."""
    _check_ids(case, Marks.image(TOKENS), _settings(case.facts["arguments"], 200, sampled=True))


CHECKS: dict[str, Callable[[Case], None]] = {
    "image_ids": check_image_ids,
    "motion_ids": check_motion_ids,
    "image_ids_sampled": check_image_ids_sampled,
    "text_to_video": check_path,
    "image_to_video": check_path,
    "text_image_to_video": check_path,
}
