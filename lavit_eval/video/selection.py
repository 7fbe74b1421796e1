"""Which I-frames of the re-encoded stream begin the clips that the model sees."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lavit_eval.video.settings import CLIP_FRAMES, GROUP


def select_clips(frame_types: str, max_clips: int) -> list[int]:
    """Return the index of each chosen clip's first frame, as Video-LaVIT's evaluation processor chooses them.

    Regular I-frames (the next I-frame is exactly 12 later, and 24 frames remain) are preferred when there are at least
    two; otherwise all I-frames stand, and a clip may be irregular or run over the end. Of these every other one is
    taken, beginning with the second, thinned evenly down to `max_clips`; of one or two, the first.

    Args:
        frame_types: One letter per frame, "I" for intra.
        max_clips: At most this many, 1 or more.

    Raises:
        ValueError: There is no I-frame.
    """
    intra = [index for index, kind in enumerate(frame_types) if kind == "I"]
    if not intra:
        raise ValueError("no I-frame")
    # The last I-frame never counts as regular: nothing after it shows how long its group is.
    regular = [here for here, after in pairwise(intra) if here + GROUP == after]
    if len(intra) == 1:
        regular = intra
    regular = [start for start in regular if start + CLIP_FRAMES <= len(frame_types)]
    starts = regular if len(regular) >= 2 else intra
    if len(starts) <= 2:
        return starts[:1]
    alternate = starts[1::2]
    if len(starts) <= 2 * max_clips or len(alternate) <= max_clips:
        return alternate
    places = np.linspace(0, len(alternate) - 1, max_clips, dtype=int)
    return [alternate[place] for place in places]
