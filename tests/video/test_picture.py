"""Still pictures."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lavit_eval.errors import MediumError
from lavit_eval.video.picture import load_picture, normalise
from tests.video.made import texture


def test_picture_is_squashed_bicubically_without_keeping_its_aspect(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture = texture(90, 200)
    Image.fromarray(picture).save(path)
    found, digest = load_picture(path)
    np.testing.assert_array_equal(found, np.asarray(Image.fromarray(picture).resize((224, 224), Image.BICUBIC)))
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_picture(path, 56)[0].shape == (56, 56, 3)


def test_exif_orientation_is_not_applied(tmp_path: Path) -> None:
    plain, turned = tmp_path / "a.jpg", tmp_path / "b.jpg"
    picture = Image.fromarray(texture())
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(plain)
    picture.save(turned, exif=exif)
    np.testing.assert_array_equal(load_picture(plain)[0], load_picture(turned)[0])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.tiff"
    Image.fromarray(texture()).convert(mode).save(path)
    assert load_picture(path)[0].shape == (224, 224, 3)


def test_bad_files_say_what_is_wrong_in_one_sentence(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(texture(300, 300)).save(whole)
    cases = {"absent.jpg": None, "empty.jpg": b"", "text.jpg": b"no image", "cut.jpg": whole.read_bytes()[:3000]}
    for name, content in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(MediumError, match=name) as caught:
            load_picture(path)
        assert str(caught.value).endswith(".")
        assert "\n" not in str(caught.value)


def test_broken_png_is_a_medium_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(texture()).save(path)
    content = bytearray(path.read_bytes())
    content[60:80] = bytes(20)
    path.write_bytes(bytes(content))
    with pytest.raises(MediumError):
        load_picture(path)


def test_normalise_is_torchvisions_arithmetic() -> None:
    transforms = pytest.importorskip("torchvision.transforms", reason="torchvision is not installed")
    pictures = np.stack([texture(224, 224, seed) for seed in range(3)])
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    expected = torch.stack([theirs(Image.fromarray(picture)) for picture in pictures])
    found = normalise(pictures)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
