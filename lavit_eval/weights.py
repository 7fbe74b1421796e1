"""The public weight files that metrics need: where each comes from, how it is recognised, and under which licence."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lavit_eval.digests import cache_folder, cached_digest
from lavit_eval.errors import UsageError, nearest


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One public file."""

    name: str
    """Its file name, by which it is looked for."""
    urls: tuple[str, ...]
    """Where it can be downloaded, first choice first; empty for a file that must not be used."""
    licence: str
    needed_by: str
    size: int | None = None
    """In bytes, where known."""
    sha256: str | None = None
    """64 digits, or the first ones where only these are known."""
    git_blob: str | None = None
    """The file's id in a git repository: SHA-1 of "blob SIZE", a zero byte and the content."""
    carries_code: bool = False
    """A TorchScript archive: loaded only with a known digest, or when the user vouches for it."""
    refused_because: str | None = None
    """Why this file is known and must not be used."""

    @property
    def digest(self) -> str | None:
        """Return the known digest with its kind, as fingerprints name it."""
        if self.sha256:
            return f"sha256:{self.sha256}"
        return f"git:{self.git_blob}" if self.git_blob else None

    def matches(self, path: Path) -> bool | None:
        """Return whether a file is this one by every digest that is known; None where none is."""
        if self.digest is None:
            return None
        if self.size is not None and path.stat().st_size != self.size:
            return False
        by_sha256 = self.sha256 is None or cached_digest(path).startswith(self.sha256)
        return by_sha256 and (self.git_blob is None or git_blob_id(path) == self.git_blob)

    def how_to_get(self) -> str:
        """Return the command that fetches the file and the address for machines without a network."""
        return f"lavit-eval weights fetch {self.name}" + (f" (from {self.urls[0]})" if self.urls else "")


_STYLEGAN_V = "no licence stated for the weights; Kinetics-400 network of DeepMind, Apache-2.0"
_OPENAI = "MIT"
_CLIP = "https://openaipublic.azureedge.net/clip/models/"

CATALOGUE: tuple[WeightFile, ...] = (
    WeightFile(
        "i3d_torchscript.pt",
        (
            "https://huggingface.co/flateon/FVD-I3D-torchscript/resolve/main/i3d_torchscript.pt",
            "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
        ),
        _STYLEGAN_V,
        "FVD, KVD",
        size=51_235_320,
        sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        git_blob="93daef59c7ae0e9e8f76225521407e60cbafa6aa",
        carries_code=True,
    ),
    WeightFile(
        "i3d_pretrained_400.pt",
        (
            "https://github.com/songweige/TATS/raw/main/tats/fvd/i3d_pretrained_400.pt",
            "https://drive.google.com/uc?id=1mQK8KD8G6UWRa5t87SRMm5PVXtlpneJT",
        ),
        "MIT (TATS, VideoGPT); Kinetics-400 network of DeepMind, Apache-2.0",
        "FVD, KVD",
        git_blob="a867b87ac3a9097d200598b1d48a1b890d8ec744",
    ),
    WeightFile(
        "c3d_ucf101.pt",
        ("https://www.dropbox.com/s/jxpu7avzdc9n97q/c3d_ucf101.pt?dl=1",),
        "no licence stated for the port; network of TGANv2, MIT",
        "Inception Score of videos",
        carries_code=True,
    ),
    WeightFile(
        "ViT-B-16.pt",
        (f"{_CLIP}5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f/ViT-B-16.pt",),
        _OPENAI,
        "CLIPSIM as Video-LaVIT and VideoPoet take it",
        sha256="5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        carries_code=True,
    ),
    WeightFile(
        "ViT-B-32.pt",
        (f"{_CLIP}40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",),
        _OPENAI,
        "CLIPSIM with ViT-B/32, FID with CLIP features",
        sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        carries_code=True,
    ),
    WeightFile(
        "ViT-L-14.pt",
        (f"{_CLIP}b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836/ViT-L-14.pt",),
        _OPENAI,
        "the best of 4 images by CLIP",
        sha256="b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        carries_code=True,
    ),
    WeightFile(
        "weights-inception-2015-12-05-6726825d.pth",
        (
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
        ),
        "Apache-2.0",
        "FID of images (torch-fidelity's Inception)",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    WeightFile(
        "alexnet-owt-7be5be79.pth",
        ("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        "BSD-3-Clause",
        "LPIPS",
        sha256="7be5be79",
    ),
    WeightFile(
        "rgb_imagenet.pt",
        (),
        "Apache-2.0",
        "nothing here",
        git_blob="73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a",
        refused_because=(
            "is the I3D that began from ImageNet, while every published FVD is of the one trained from scratch; "
            "its FVD compares with nothing"
        ),
    ),
)  # fmt: skip


def entry(name: str) -> WeightFile:
    """Return the catalogue's entry of a file name (raises UsageError with the nearest names)."""
    known = {file.name: file for file in CATALOGUE}
    if name not in known:
        raise UsageError(f"{name} is no file of the catalogue.{nearest(name, list(known))} lavit-eval weights list")
    return known[name]


def folders(named: Path | None = None) -> list[Path]:
    """Return where weight files are looked for: `--weights-dir`, else $LAVIT_EVAL_WEIGHTS; then the cache."""
    chosen = named or (Path(found) if (found := os.environ.get("LAVIT_EVAL_WEIGHTS")) else None)
    return [*([chosen] if chosen else []), cache_folder() / "weights"]


def find(name: str, named: Path | None = None) -> Path:
    """Return where a file of the catalogue lies, unverified; nothing is ever downloaded here.

    Raises UsageError, with the command and the address that bring it, when it lies nowhere.
    """
    file, places = entry(name), folders(named)
    for folder in places:
        if (folder / name).is_file():
            return folder / name
    raise UsageError(
        f"{name} (for {file.needed_by}) is missing in {' and '.join(map(str, places))}; "
        f"run: {file.how_to_get()}, or name its folder with --weights-dir."
    )


def check(path: Path, file: WeightFile, trust: bool = False) -> None:
    """Make sure that a file is what the catalogue says, before anything in it is read.

    Args:
        path: The file.
        file: What it should be.
        trust: The user vouches for this very file: an unknown or another digest is accepted, a refused file never.

    Raises:
        UsageError: The file is missing, is one that must not be used, or its digest is wrong or unknown.
    """
    if not path.is_file():
        raise UsageError(f"{path} is missing; run: {file.how_to_get()}")
    for other in CATALOGUE:
        if other.refused_because and other.matches(path):
            raise UsageError(f"{path} {other.refused_because}; run: {file.how_to_get()}")
    if trust:
        return
    known = file.matches(path)
    if known is False:
        raise UsageError(
            f"{path} is not the published {file.name}: its digest is not {file.digest}; "
            f"run: {file.how_to_get()}, or accept it with --trust {path}"
        )
    if known is None and file.carries_code:
        raise UsageError(f"{path} carries code and no digest of {file.name} is known; if you trust it: --trust {path}")


def git_blob_id(path: Path) -> str:
    """Return a file's git blob id, 40 hexadecimal digits; kept for the same (path, size, mtime) within a process."""
    stat = path.stat()
    return _git_blob_id(path.resolve(), stat.st_size, stat.st_mtime_ns)


@cache
def _git_blob_id(path: Path, size: int, changed: int) -> str:
    found = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()
