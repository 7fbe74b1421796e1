from __future__ import annotations

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.models.video_lavit.arguments import Arguments


def test_defaults_are_the_published_ones() -> None:
    settings = Arguments.parse({}).video()
    assert (settings.max_clips, settings.encoder_threads, settings.fps, settings.size) == (16, 16, 6, 224)
    assert Arguments.parse({}).token_select == "gumbel"


def test_all_are_read() -> None:
    given = {
        "attention": "xformers",
        "token_select": "argmax",
        "max_clips": "8",
        "encoder_threads": "1",
        "long_prompt": "reference",
        "backend": "mvextractor",
        "video_cache": "off",
        "low_memory": "on",
        "shared_prefix": "off",
        "llm_batch": "16",
        "image_batch": "4",
        "video_batch": "1",
        "offload": "on",
        "keyframe_guidance": "7.5",
    }
    parsed = Arguments.parse(given)
    assert {key: str(getattr(parsed, key)) for key in given} == given
    assert (parsed.video(56).max_clips, parsed.video(56).backend, parsed.video(56).size) == (8, "mvextractor", 56)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"maxclips": "8"}, "'maxclips'.*knows attention.*Did you mean max_clips"),
        ({"token_select": "gumble"}, "gumbel or argmax.*Did you mean gumbel"),
        ({"max_clips": "0"}, "from 1 to 1000"),
        ({"max_clips": "eight"}, "whole number"),
        ({"encoder_threads": "17"}, "from 1 to 16"),
        ({"video_cache": "yes"}, "on or off"),
        ({"low_memory": "yes"}, "off or on"),
        ({"offload": "maybe"}, "auto or on or off"),
        ({"keyframe_guidance": "strong"}, "a number from 0 to 1000"),
        ({"keyframe_guidance": "nan"}, "a number from 0 to 1000"),
        ({"keyframe_pipeline": "no/such/folder"}, "no such folder"),
    ],
)
def test_mistakes_are_named(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Arguments.parse(given)
