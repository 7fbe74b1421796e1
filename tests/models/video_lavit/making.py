"""Requests for tiny images and videos, and the settings that make them in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lavit_eval.sample import Medium, Request, RequestKind, Response, Seeds, Settings, derive_seed
from lavit_eval.video.lossless import read_frames

_TEXT = {
    "do_sample": True,
    "top_k": 50,
    "top_p": 1.0,
    "temperature": 1.0,
    "min_new_tokens": 8,
    "max_new_tokens": 40,
    "guidance_llm": 4.0,
}
_IMAGE = {"width": 64, "height": 64, "steps": 3, "guidance_decoder": 7.0, "init_sigma": "fresh"}
_CLIP = {
    "video_width": 32,
    "video_height": 32,
    "video_steps": 1,
    "min_video_guidance": 1.0,
    "max_video_guidance": 4.0,
    "linear_guidance": True,
    "noise_aug_strength": 0.02,
    "cond_on_ref_frame": True,
    "fps_id": 6,
    "motion_bucket_id": 127,
    "vae_chunk": 8,
}
_TURNS = {"guidance_motion": 7.0, "clips": 1, "inverse_rate": 0.7, "restart_noise_scaling": True}
GENERATION: dict[RequestKind, dict[str, Any]] = {
    "generate_image": {**_TEXT, **_IMAGE},
    "generate_video": {**_TEXT, **_IMAGE, **_TURNS, **_CLIP},
    "reconstruct_video": {**_CLIP, "motion": "raw"},
}


def order(
    run: Path, name: str, kind: RequestKind, text: str = "", media: tuple[Medium, ...] = (), **changes: Any
) -> Request:
    """Return a request whose file goes into the folder of a run."""
    return Request(
        name,
        0,
        kind,
        media,
        text,
        Settings(),
        Seeds(42, 0, derive_seed("write", name)),
        generation={**GENERATION[kind], **changes},
        output=str(run / "tasks" / "t" / "media" / name),
    )


def pixels(run: Path, response: Response) -> np.ndarray:
    """Return the frames of what was made, int64 `[n, h, w, 3]`."""
    assert response.medium is not None, response.error
    path = run / response.medium
    frames = np.asarray(Image.open(path))[None] if path.suffix == ".png" else read_frames(path)
    return frames.astype(np.int64)
