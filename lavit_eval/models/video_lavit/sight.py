"""What the model sees of an image or video: preprocessed once, encoded once per medium and repeat."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lavit_eval.digests import digest_bytes
from lavit_eval.models.video_lavit.bounded_cache import BoundedCache
from lavit_eval.models.video_lavit.splice import clip_blocks, image_block
from lavit_eval.models.video_lavit.token_selector import gumbel_noise
from lavit_eval.models.video_lavit.understanding import UnderstandingModel
from lavit_eval.sample import Medium, Seeds
from lavit_eval.video.loaded import Loaded, load_medium, loading
from lavit_eval.video.picture import normalise
from lavit_eval.video.settings import VideoSettings

if TYPE_CHECKING:
    from lavit_eval.video.cache import ClipCache
    from lavit_eval.video.decoders import Decoders
    from lavit_eval.video.errand import Errand

_LOADED_BYTES = 256 << 20
_SEEN_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Seen:
    """A medium as the language model takes it: one entry per clip; an image is one clip without motion."""

    blocks: tuple[Tensor, ...]
    """Embeddings with their marks, `[positions, hidden]`."""
    kept: tuple[int, ...]
    """Visual tokens."""
    motion_tokens: int
    """Motion tokens of each clip; 0 for an image."""
    keyframe_digests: tuple[str, ...]
    motion_digests: tuple[str, ...]
    """Empty for an image."""
    selection_digests: tuple[str, ...]
    """Of which patches were kept."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(block.numel() * block.element_size() for block in self.blocks)


class Sight:
    """Loads and encodes media for one model; what was used last stays in memory.

    Every medium is encoded in a forward of its own, so that what is seen does not depend, not even by rounding, on
    which other media are asked about.

    Args:
        model: The model.
        settings: How videos become clips.
        argmax: Keep the likelier patches instead of drawing.
        cache: Where preprocessed videos are kept on disk, if anywhere.
        still: Leave the motion of videos out: each clip is its keyframe alone.
        decoders: Who preprocesses media ahead, if anybody.
    """

    def __init__(
        self,
        model: UnderstandingModel,
        settings: VideoSettings,
        argmax: bool = False,
        cache: ClipCache | None = None,
        still: bool = False,
        decoders: Decoders | None = None,
    ) -> None:
        self.model = model
        self.settings = settings
        self.argmax = argmax
        self.cache = cache
        self.still = still
        self.decoders = decoders
        self.waited = 0.0
        """Seconds for which the model waited for media, since somebody last set this to 0."""
        self._loaded: BoundedCache[Loaded] = BoundedCache(_LOADED_BYTES)
        self._seen: BoundedCache[Seen] = BoundedCache(_SEEN_BYTES)
        self._codes: BoundedCache[Tensor] = BoundedCache(_SEEN_BYTES // 8)

    def errand(self, medium: Medium) -> Errand | None:
        """Return what loads a medium in another process, None if it is loaded; may be called from any thread."""
        errand = loading(medium, self.settings, self.cache)
        return None if errand.key() in self._loaded else errand

    def load(self, medium: Medium) -> Loaded:
        """Return a medium after preprocessing (raises MediumError)."""
        key = loading(medium, self.settings, self.cache).key()
        found = self._loaded.get(key)
        began = time.perf_counter()
        try:
            # What was foreseen and is there already must not be held for ever.
            ahead = None if self.decoders is None else self.decoders.take(key, wanted=found is None)
            if found is None:
                found = Loaded.of(ahead) if ahead is not None else load_medium(medium, self.settings, self.cache)
        finally:
            self.waited += time.perf_counter() - began
        self._loaded.put(key, found, found.size)
        return found

    def see_key(self, loaded: Loaded, seeds: Seeds) -> tuple[str, bool, int | None]:
        """Return what decides the outcome of `see`: file and segment, whether as a video, the seed if any."""
        return loaded.digest, loaded.motions is not None, None if self.argmax else seeds.see(loaded.digest)

    @torch.inference_mode()
    def see(self, loaded: Loaded, seeds: Seeds) -> Seen:
        """Return a medium as the language model takes it; the patches kept depend on file and seeds alone."""
        key = self.see_key(loaded, seeds)
        found = self._seen.get(key)
        if found is None:
            found = self._encode(loaded, key[2])
            self._seen.put(key, found, found.size)
        return found

    def _encode(self, loaded: Loaded, seed: int | None) -> Seen:
        model, tokenizer = self.model, self.model.model.visual_tokenizer
        pixels = normalise(loaded.keyframes).to(model.device, model.dtype)
        noise = None
        if seed is not None:
            shape = (len(pixels), tokenizer.config.patches, 2)
            noise = gumbel_noise(shape, torch.Generator().manual_seed(seed))
        encoded = tokenizer.encode(pixels, noise)
        kept = torch.split(tokenizer.vit_proj(encoded.kept()), encoded.counts)
        codes = self._motion_codes(loaded)
        blocks = [image_block(model, rows) for rows in kept] if codes is None else clip_blocks(model, kept, codes)
        return Seen(
            blocks=tuple(blocks),
            kept=tuple(encoded.counts),
            motion_tokens=0 if codes is None else codes.shape[1],
            keyframe_digests=_digests(loaded.keyframes),
            motion_digests=() if loaded.motions is None else _digests(loaded.motions),
            selection_digests=_digests(np.packbits(encoded.keep.cpu().numpy(), axis=1)),
        )

    def _motion_codes(self, loaded: Loaded) -> Tensor | None:
        """Return the motion codes of a video, int64 `[n, 135]`, or None; no draw changes them, so they are kept."""
        if loaded.motions is None or self.still:
            return None
        codes = self._codes.get(loaded.digest)
        if codes is None:
            codes = self.model.read_motion(torch.from_numpy(loaded.motions))
            self._codes.put(loaded.digest, codes, codes.numel() * codes.element_size())
        return codes


def _digests(stack: NDArray[np.uint8] | NDArray[np.float32]) -> tuple[str, ...]:
    return tuple(digest_bytes(np.ascontiguousarray(entry).tobytes()) for entry in stack)
