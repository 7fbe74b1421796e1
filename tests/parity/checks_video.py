"""Video preprocessing against the reference's recorded stages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch

from lavit_eval.video.clips import load_clips
from lavit_eval.video.picture import normalise
from lavit_eval.video.selection import select_clips
from lavit_eval.video.settings import VideoSettings
from lavit_eval.video.stream import read_stream
from lavit_eval.video.vectors import block_map, clip_motion, displacements
from tests.parity.case import Case, assert_close


def _only(tensors: dict[str, torch.Tensor], known: set[str], case: Case) -> None:
    unknown = {name for name in tensors if name.startswith("out/")} - known
    assert not unknown, f"{case.name}: outputs that no check compares: {sorted(unknown)}"


def check_motion_processor(case: Case) -> None:
    """Vectors to processed motion, with and without the tenfold scale, and the pixels of the dense map."""
    facts, tensors = case.facts, case.tensors()
    dense = {"out/dense_nonempty_index", "out/dense_nonempty_value"}
    _only(tensors, {"out/processed_rescale", "out/processed", *dense}, case)
    height, width, out = facts["height"], facts["width"], (facts["out_height"], facts["out_width"])
    rows = tensors["in/vectors"].numpy().astype(np.int32)
    frames = [rows[rows[:, 0] == index, 1:] for index in range(facts["n_frames"])]
    for name, rescale in (("out/processed_rescale", True), ("out/processed", False)):
        found = clip_motion([block_map(vectors, height, width, rescale) for vectors in frames], *out)
        if name in tensors:
            assert_close(found, tensors[name], case, name)
        else:
            assert_close(found * 10, tensors["out/processed_rescale"], case, f"{name} * 10")
    if dense <= set(tensors):
        index, value = (tensors[name] for name in sorted(dense))
        found_index, found_value = _dense([frames[k] for k in facts["dense_frames"]], height, width)
        assert_close(found_index, index, case, "out/dense_nonempty_index")
        assert_close(found_value, value, case, "out/dense_nonempty_value")


def _dense(frames: list[np.ndarray], height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (frame, channel, y, x) and value of every written pixel, in the order of np.nonzero."""
    maps = np.full((len(frames), 2, height, width), -10000.0)
    for place, vectors in enumerate(frames):
        x, y = np.clip(vectors[:, 5], 0, width - 1), np.clip(vectors[:, 6], 0, height - 1)
        for row, value in enumerate(displacements(vectors, height, width, rescale=True)):
            maps[place, :, y[row], x[row]] = value
    index = np.argwhere(maps > -10000)
    return torch.from_numpy(index.astype(np.int32)), torch.from_numpy(maps[tuple(index.T)].astype(np.float32))


def check_clip_selection(case: Case) -> None:
    """Frame types to clip starts, and how many real frames each clip has."""
    for entry in case.facts["cases"]:
        kinds = entry["frame_types"]
        try:
            starts = select_clips(kinds, entry["max_clips"])
        except ValueError:
            assert not entry.get("key_frame_indices"), f"{case.name}: {entry} is not refused there"
            continue
        assert starts == entry["key_frame_indices"], f"{case.name}: {entry}"
        assert [min(24, len(kinds) - start) for start in starts] == entry["real_frames_per_clip"], entry


def check_video_extraction(case: Case) -> None:
    """Frame types, every vector, block maps and mean colours of a re-encoded stream."""
    facts, tensors = case.facts, case.tensors()
    _only(tensors, {"out/raw_vectors", "out/pooled", "out/frame_mean"}, case)
    with read_stream(case.folder / facts["reencoded_file"]) as stream:
        assert stream.frame_types == facts["frame_types"]
        frames = list(stream.frames())
    assert len(frames) == facts["n_frames"]
    assert {(frame.height, frame.width) for frame in frames} == {(facts["height"], facts["width"])}
    assert [len(frame.vectors) for frame in frames] == facts["vectors_per_frame"]
    rows = np.concatenate([np.insert(frame.vectors, 0, frame.index, axis=1) for frame in frames]).astype("<i2")
    assert len(rows) == facts["raw_vectors_rows"]
    assert hashlib.sha256(rows.tobytes()).hexdigest() == facts["raw_vectors_sha256"]
    assert sorted(set(rows[:, 1].tolist())) == facts["source_values"]
    assert np.unique(rows[:, 2:4], axis=0).tolist() == facts["block_sizes"]
    assert sorted(set(rows[:, 10].tolist())) == facts["motion_scale_values"]
    recorded = tensors["out/raw_vectors"]
    assert_close(torch.from_numpy(rows[: len(recorded)]), recorded, case, "out/raw_vectors")
    pooled = np.stack([block_map(frame.vectors, frame.height, frame.width) for frame in frames])
    assert_close(torch.from_numpy(pooled), tensors["out/pooled"], case, "out/pooled")
    means = np.stack([frame.picture.mean(axis=(0, 1)) for frame in frames if frame.picture is not None])
    assert_close(torch.from_numpy(means), tensors["out/frame_mean"], case, "out/frame_mean")


def check_video_clips(case: Case) -> None:
    """Starts, keyframes and motion of the clips that the model is shown."""
    facts, tensors = case.facts, case.tensors()
    _only(tensors, {"out/motions", "out/image_0_u8", "out/images_f16"}, case)
    clips = load_clips(case.folder / facts["reencoded_file"], VideoSettings(max_clips=facts["max_clips"]))
    assert list(clips.starts) == facts["key_frame_indices"]
    assert len(clips.starts) == facts["n_clips"]
    images = normalise(clips.keyframes)
    assert list(clips.motions.shape) == facts["shapes"]["motions"]
    assert list(images.shape) == facts["shapes"]["images"]
    for picture, image, stats in zip(clips.keyframes, images, facts["images_stats"], strict=True):
        assert hashlib.sha256(picture.tobytes()).hexdigest() == stats["sha256_uint8"]
        assert abs(float(image.mean()) - stats["mean"]) < 1e-4
        assert abs(float(image.std()) - stats["std"]) < 1e-4
    if "out/motions" in tensors:
        assert_close(torch.from_numpy(clips.motions), tensors["out/motions"], case, "out/motions")
    if "out/image_0_u8" in tensors:
        assert_close(torch.from_numpy(clips.keyframes[0]), tensors["out/image_0_u8"], case, "out/image_0_u8")
    if "out/images_f16" in tensors:
        stored = tensors["out/images_f16"]
        step = images.shape[-1] // stored.shape[-1]
        found = images[:, :, ::step, ::step].half()
        assert torch.equal(found, stored), f"{case.name} out/images_f16: {int((found != stored).sum())} differ"


CHECKS: dict[str, Callable[[Case], None]] = {
    "motion_processor": check_motion_processor,
    "clip_selection": check_clip_selection,
    "video_extraction": check_video_extraction,
    "video_clips": check_video_clips,
}
