"""Writes tiny annotation files of the captioning benchmarks, with invented content, in the official layouts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.benchmarks.layouts import Rows, write_json, write_lines

NOCAPS_IMAGES: Rows = [
    {"id": 0, "file_name": "90abcdef.jpg", "open_images_id": "90abcdef", "domain": "near-domain"},
    {"id": 1, "file_name": "91abcdef.jpg", "open_images_id": "91abcdef", "domain": "in-domain"},
    {"id": 2, "file_name": "92abcdef.jpg", "open_images_id": "92abcdef", "domain": "near-domain"},
]
FLICKR_IMAGES: Rows = [
    {"name": "900001.jpg", "split": "test", "captions": ["A dog jumps .", "A brown dog leaps over a log ."]},
    {"name": "900002.jpg", "split": "train", "captions": ["A cat ."]},
    {"name": "900003.jpg", "split": "test", "captions": ["Two men row a boat ."]},
]
MSRVTT_VIDEOS = (7011, 12, 7010)
MSVD_VIDEOS = {"-aBc_5_16": 1301, "_xy_0_5": 1302, "train1_1_2": 7}
"""Name on YouTube -> number; names may begin with - or _."""
VATEX_ROWS: Rows = [
    {"videoID": "-bcDEF12345_000010_000020", "enCap": ["A boy flips a pancake.", "A pancake turns."]},
    {"videoID": "_ycDEF12345_000000_000010", "enCap": ["Rain falls."]},
]


def put(folder: Path, names: Iterable[str]) -> None:
    """Make media files that are not empty."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"made " + name.encode())


def nocaps_document(images: Rows = NOCAPS_IMAGES) -> dict[str, Any]:
    """Return NoCaps's document: two captions an image, numbered from 0."""
    captions = [(image["id"], f"a {image['domain']} thing {n}") for image in images for n in range(2)]
    annotations = [{"image_id": image, "id": number, "caption": text} for number, (image, text) in enumerate(captions)]
    return {"licenses": [], "info": {}, "images": images, "annotations": annotations}


def write_nocaps(folder: Path, images: Rows = NOCAPS_IMAGES) -> Path:
    """Write NoCaps's validation file and images (`folder` is the data root's nocaps/)."""
    put(folder / "images", [image["file_name"] for image in images])
    return write_json(folder / "nocaps_val_4500_captions.json", nocaps_document(images))


def write_flickr30k(folder: Path, images: Rows = FLICKR_IMAGES) -> Path:
    """Write dataset_flickr30k.json and all images (`folder` is the data root's flickr30k/)."""
    rows = [
        {
            "sentids": [],
            "imgid": number,
            "sentences": [{"raw": caption, "tokens": caption.lower().split()} for caption in image["captions"]],
            "split": image["split"],
            "filename": image["name"],
        }
        for number, image in enumerate(images)
    ]
    put(folder / "flickr30k-images", [image["name"] for image in images])
    return write_json(folder / "dataset_flickr30k.json", {"images": rows, "dataset": "flickr30k"})


def write_flickr30k_lavis(folder: Path, images: Rows = FLICKR_IMAGES) -> Path:
    """Write LAVIS's list of the test images."""
    rows = [
        {"image": f"flickr30k-images/{image['name']}", "caption": image["captions"]}
        for image in images
        if image["split"] == "test"
    ]
    return write_json(folder / "flickr30k_test.json", rows)


def msrvtt_document() -> dict[str, Any]:
    """Return MSR-VTT's document with keys that hold a space, videos and sentences out of order."""
    videos = [
        {
            "category": 9,
            "url": "https://example.org",
            "video_id": f"video{number}",
            "start time": 1.5,
            "end time": 11.5,
            "split": "test",
            "id": number,
        }
        for number in MSRVTT_VIDEOS
    ]
    sentences = [
        {"caption": f"caption {order} of {number}", "video_id": f"video{number}", "sen_id": number * 10 + order}
        for number in MSRVTT_VIDEOS
        for order in (2, 0, 1)
    ]
    return {"info": {}, "videos": videos, "sentences": sentences}


def write_msrvtt_caption(folder: Path) -> Path:
    """Write MSR-VTT's test file and test videos (`folder` is the data root's MSRVTT/)."""
    put(folder / "TestVideo", [f"video{number}.mp4" for number in MSRVTT_VIDEOS if number > 7000])
    return write_json(folder / "test_videodatainfo.json", msrvtt_document())


def write_msvd_caption(folder: Path) -> Path:
    """Write MSVD's captions, its mapping and its videos (`folder` is the data root's MSVD/)."""
    put(folder / "YouTubeClips", [f"{name}.avi" for name in MSVD_VIDEOS])
    write_lines(folder / "youtube_mapping.txt", [f"{name} vid{number}" for name, number in MSVD_VIDEOS.items()], "\n")
    captions = [f"{name} caption {order} of it" for order in range(2) for name in MSVD_VIDEOS]
    return write_lines(folder / "AllVideoDescriptions.txt", ["# made captions", "#", "", *captions])


def write_vatex(folder: Path, rows: Rows = VATEX_ROWS) -> Path:
    """Write VATEX's public test and its videos (`folder` is the data root's vatex/)."""
    put(folder / "videos", [f"{row['videoID']}.mp4" for row in rows])
    return write_json(folder / "vatex_public_test_english_v1.1.json", rows)
