from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lavit_eval.errors import UsageError
from lavit_eval.metrics.backbones.clip import Clip, prepare

NAME = "ViT-B-32.pt"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of one layer a side, whose values float16 can hold, as OpenAI's files are."""
    from clip.model import CLIP

    torch.manual_seed(3)
    network = CLIP(16, 32, 1, 64, 16, 77, 49408, 64, 1, 1)
    found = tmp_path_factory.mktemp("clip") / NAME
    torch.save({name: tensor.half().float() for name, tensor in network.state_dict().items()}, found)
    return found


@pytest.fixture(scope="module")
def clip(path: Path) -> Clip:
    return Clip(path, NAME, trust=True)


def frames(count: int, height: int, width: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(1)).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(60, 97), (97, 60), (32, 32), (20, 31)])
def test_frames_are_prepared_as_openais_transform_does(height: int, width: int) -> None:
    from clip.clip import _transform

    given = frames(2, height, width)
    expected = torch.stack([_transform(32)(Image.fromarray(frame)) for frame in given])
    torch.testing.assert_close(prepare(given, 32), expected, atol=1e-6, rtol=0)


def test_squashed_frames_keep_their_sides() -> None:
    given = np.zeros((1, 40, 80, 3), dtype=np.uint8)
    given[:, :, :20] = 255
    assert prepare(given, 32, "squash")[0, 0, 16, 0] > prepare(given, 32, "crop")[0, 0, 16, 0]


def test_embeddings_do_not_depend_on_the_batch_and_are_float32(clip: Clip) -> None:
    given = frames(3, 40, 50)
    together = clip.images(given)
    assert together.shape == (3, 16) and together.dtype == torch.float32
    torch.testing.assert_close(together[1:2], clip.images(given[1:2]), atol=1e-5, rtol=1e-5)
    captions = ["a cat", "two dogs run"]
    torch.testing.assert_close(clip.texts(captions)[1:], clip.texts(captions[1:]), atol=1e-5, rtol=1e-5)


def test_long_captions_are_cut(clip: Clip) -> None:
    assert torch.isfinite(clip.texts(["word " * 300])).all()


def test_another_file_is_refused(tmp_path: Path, path: Path) -> None:
    with pytest.raises(UsageError, match=r"not the published ViT-B-32\.pt"):
        Clip(path, NAME)
    with pytest.raises(UsageError, match="weights fetch"):
        Clip(tmp_path / "absent.pt", NAME)
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(UsageError, match="no CLIP network"):
        Clip(tmp_path / "other.pt", NAME, trust=True)
