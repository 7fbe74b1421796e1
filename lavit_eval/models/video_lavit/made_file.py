"""The files in which generated images and videos are handed back."""

from __future__ import annotations

from pathlib import Path

from lavit_eval.models.video_lavit.footage import Drawing, Footage
from lavit_eval.models.video_lavit.recording import RECONSTRUCTION_FPS, Recording
from lavit_eval.video.lossless import write_lossless, write_preview
from lavit_eval.video.still import write_png

GENERATED_FPS = 6
"""Frames per second of the videos that the model learnt motion tokens from."""


def store_drawing(output: Path, drawing: Drawing) -> Path:
    """Write an image as `OUTPUT.png` and return the path."""
    path = output.with_name(f"{output.name}.png")
    write_png(path, drawing.frame.numpy())
    return path


def store_footage(output: Path, footage: Footage, recording: Recording | None = None) -> Path:
    """Write a video without loss as `OUTPUT.mkv`, beside it `OUTPUT.preview.mp4` for people, and return the path.

    Of a reconstruction, `OUTPUT.source.mkv` holds the frames of the recording that it is to be compared with.
    """
    fps = GENERATED_FPS if recording is None else RECONSTRUCTION_FPS
    path = output.with_name(f"{output.name}.mkv")
    frames = footage.joined.numpy()
    write_lossless(path, frames, fps)
    write_preview(output.with_name(f"{output.name}.preview.mp4"), frames, fps)
    if recording is not None:
        write_lossless(output.with_name(f"{output.name}.source.mkv"), recording.frames.numpy(), fps)
    return path
