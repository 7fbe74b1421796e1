"""How many bytes the stages of making keep of a request (`stages`), known without a tensor."""

from __future__ import annotations

from lavit_eval.generation_settings import GenerationSettings
from lavit_eval.sample import RequestKind
from lavit_eval.video.settings import CLIP_FRAMES

BYTES_PER_PIXEL = 3
"""Red, green and blue of 8 bits each: what is kept is not compressed."""
BYTES_PER_ID = 6
"""Of a token in JSON, its comma included."""
STATE = 8192
"""Of a request in a stage: where its draws stand (5 kB), its motion codes, its counts."""
STAGES = {"generate_image": 2, "generate_video": 4, "reconstruct_video": 1}
"""Of a picture or clip."""


def kept_bytes(kind: RequestKind, settings: GenerationSettings) -> int:
    """Return how many bytes are kept of a request of a kind at most, once all of its stages are done."""
    frame = settings.video_width * settings.video_height * BYTES_PER_PIXEL
    ids = settings.clips * 2 * settings.max_new_tokens * BYTES_PER_ID
    state = settings.clips * STAGES[kind] * (STATE + ids)
    if kind == "generate_image":
        return settings.width * settings.height * BYTES_PER_PIXEL + state
    # A recording brings its keyframe along.
    keyframes = 0 if kind == "reconstruct_video" else 1
    return settings.clips * (CLIP_FRAMES + keyframes) * frame + state
