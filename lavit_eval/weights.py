"""The public weight files that metrics need: where each comes from, how it is recognised, and under which licence."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lavit_eval.digests import cache_folder, cached_digest, digest_file
from lavit_eval.errors import UsageError, nearest
from lavit_eval.files import write_json

TRUSTED = "trusted.json"
"""Beside the weight files: for which files, by their SHA-256, the user vouches."""


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

    def matches(self, path: Path, sha256: str | None = None) -> bool | None:
        """Return whether a file is this one by every digest that is known; None where none is.

        The file's SHA-256 can be given where it has just been computed (raises OSError if the file cannot be read).
        """
        if self.digest is None:
            return None
        return self.difference(path, sha256) is None

    def difference(self, path: Path, sha256: str | None = None) -> str | None:
        """Return how a file differs from what is known of this one, "its ... is ..., not ..."; None if it does not."""
        if self.size is not None and (size := path.stat().st_size) != self.size:
            return f"its size is {size} bytes, not {self.size}"
        if self.sha256 is not None and not (found := sha256 or cached_digest(path)).startswith(self.sha256):
            return f"its sha256 is {found}, not {self.sha256}"
        if self.git_blob is not None and (found := git_blob_id(path)) != self.git_blob:
            return f"its git blob id is {found}, not {self.git_blob}"
        return None

    def how_to_get(self, folder: Path | None = None) -> str:
        """Return the command that fetches the file, and the address for machines without a network.

        With a folder it is the command that brings the file there.
        """
        source = f" (from {self.urls[0]})" if self.urls else ""
        return f"lavit-eval weights fetch {self.name}{folder_option(folder)}{source}"


@dataclass(frozen=True, slots=True)
class FoundWeights:
    """A weight file of this machine that may be used."""

    name: str
    """Its name in the catalogue."""
    path: Path
    sha256: str
    published: bool | None
    """Whether its digest is the catalogue's; None where the catalogue knows none."""
    trusted: bool
    """It is not known to be the published file and is used because the user vouches for it."""


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
            "https://github.com/bytedance/pv3d/releases/download/v1.0.0/i3d_pretrained_400.pt",
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
        size=350_837_078,
        sha256="5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        carries_code=True,
    ),
    WeightFile(
        "ViT-B-32.pt",
        (f"{_CLIP}40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",),
        _OPENAI,
        "CLIPSIM with ViT-B/32, FID with CLIP features",
        size=353_976_522,
        sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        carries_code=True,
    ),
    WeightFile(
        "ViT-L-14.pt",
        (f"{_CLIP}b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836/ViT-L-14.pt",),
        _OPENAI,
        "the best of 4 images by CLIP",
        size=932_768_134,
        sha256="b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        carries_code=True,
    ),
    WeightFile(
        "weights-inception-2015-12-05-6726825d.pth",
        (
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
            # Of another name and the same content.
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
        ),
        "Apache-2.0",
        "FID of images (torch-fidelity's Inception)",
        size=95_628_359,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    WeightFile(
        "alexnet-owt-7be5be79.pth",
        ("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        "BSD-3-Clause",
        "LPIPS",
        size=244_408_911,
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    ),
    WeightFile(
        "rgb_imagenet.pt",
        (),
        "Apache-2.0",
        "nothing here",
        size=50_883_138,
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


def locate(name: str, named: Path | None = None) -> Path | None:
    """Return the first place where a file of that name lies, unverified; None where there is none."""
    return next((folder / name for folder in folders(named) if (folder / name).is_file()), None)


def find(name: str, named: Path | None = None) -> Path:
    """Return where a file of the catalogue lies, unverified; nothing is ever downloaded here.

    Raises UsageError, with the command and the address that bring it, when it lies nowhere or must not be used.
    """
    file = entry(name)
    if file.refused_because:
        raise UsageError(f"{name} must not be used: it {file.refused_because}; for others: lavit-eval weights list")
    found = locate(name, named)
    if found is None:
        raise UsageError(
            f"{name} (for {file.needed_by}) is missing in {' and '.join(map(str, folders(named)))}; "
            f"run: {file.how_to_get()}, or name its folder with --weights-dir."
        )
    return found


def require(name: str, named: Path | None = None, trusted: Collection[Path] = ()) -> FoundWeights:
    """Return a file of the catalogue, found and verified.

    Args:
        name: Its name in the catalogue.
        named: The folder that the user names (`--weights-dir`), looked into first.
        trusted: Files for which the user vouches; so does an entry in the `trusted.json` beside the file.

    Raises:
        UsageError: The file lies nowhere, cannot be read or must not be used, or its digest is wrong or unknown and
            nobody vouches for it.
    """
    file, path = entry(name), find(name, named)
    try:
        sha256, published = cached_digest(path), file.matches(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); run: {file.how_to_get(path.parent)}") from error
    vouched = published is not True and (
        path.resolve() in {other.resolve() for other in trusted} or is_recorded(path, name, sha256)
    )
    check(path, file, trust=vouched)
    return FoundWeights(name, path, sha256, published, vouched)


def check(path: Path, file: WeightFile, trust: bool = False, read_again: bool = False) -> None:
    """Make sure that a file is what the catalogue says, before anything in it is read.

    Args:
        path: The file.
        file: What it should be.
        trust: The user vouches for this very file: an unknown or another digest is accepted, a refused file never.
        read_again: Compute the digest anew, whatever was found for the same path, size and time before.

    Raises:
        UsageError: The file is missing, is one that must not be used, or its digest is wrong or unknown.
    """
    if not path.is_file():
        raise UsageError(f"{path} is missing; run: {file.how_to_get()}")
    if reason := refusal(path):
        raise UsageError(f"{path} {reason}; run: {file.how_to_get(path.parent)}")
    if trust:
        return
    if difference := file.difference(path, digest_file(path) if read_again else None):
        raise UsageError(
            f"{path} is not the published {file.name}: {difference}; "
            f"run: {file.how_to_get(path.parent)}, or accept it: {vouching(path, file.name)}"
        )
    if file.digest is None and file.carries_code:
        raise UsageError(
            f"{path} carries code and no digest of {file.name} is known; if you trust it: {vouching(path, file.name)}"
        )


def vouching(path: Path, name: str) -> str:
    """Return what a user types who trusts a file, for one run or for good."""
    named = "" if path.name == name else f" --as {name}"
    return f"--trust {path}, or for good: lavit-eval weights add {path}{named} --trust{folder_option(path.parent)}"


def folder_option(folder: Path | None) -> str:
    """Return the option that makes a folder the first one, " --weights-dir DIR"; nothing where it is that already."""
    return "" if folder is None or folder == folders()[0] else f" --weights-dir {folder}"


def refusal(path: Path, sha256: str | None = None) -> str | None:
    """Return why a file must not be used, under whatever name it lies there; None if it may be."""
    refused = (file for file in CATALOGUE if file.refused_because)
    return next((file.refused_because for file in refused if file.matches(path, sha256)), None)


def is_recorded(path: Path, name: str, sha256: str) -> bool:
    """Return whether the user vouched for good for this content under this name, in the folder where it lies."""
    return _recorded(path.parent / TRUSTED).get(name) == sha256


def record(path: Path, name: str, sha256: str) -> None:
    """Note in a file's folder that the user vouches for its content (raises UsageError)."""
    place = path.parent / TRUSTED
    write_json(place, {"schema": 1, "sha256": {**_recorded(place), name: sha256}})


def _recorded(place: Path) -> dict[str, str]:
    try:
        stored = json.loads(place.read_text(encoding="utf-8"))
        if stored["schema"] != 1 or not all(
            re.fullmatch("[0-9a-f]{64}", digest) for digest in stored["sha256"].values()
        ):
            raise ValueError
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{place} cannot be read as the record of trusted files; remove it, then for each file that you trust: "
            "lavit-eval weights add FILE --trust"
        ) from error
    return dict(stored["sha256"])


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
