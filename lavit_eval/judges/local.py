"""A judge in this process: a chat model that transformers loads from a folder or from the hub's local cache."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lavit_eval.digests import cached_digest, digest_json
from lavit_eval.errors import UsageError
from lavit_eval.judges.protocol import JudgeOptions, Message, Refused, Reply
from lavit_eval.sample import JSON

IDENTIFYING = (
    "*.safetensors", "config.json", "generation_config.json", "tokenizer*", "*.model", "vocab*", "merges.txt",
    "special_tokens_map.json", "added_tokens.json", "chat_template*",
)  # fmt: skip
"""Files that can change a reply."""


class LocalJudge:
    """Asks a causal language model greedily, one request at a time, so that no reply depends on another.

    Weights are read from safetensors only, code that comes with a model is never run, nothing is downloaded. For
    thousands of judgements serve the same folder by vLLM and ask that.
    """

    concurrency = 1

    def __init__(self, options: JudgeOptions) -> None:
        self._options, self._folder = options, folder_of(options.model)
        self.name = f"the judge {options.model}"
        _check_device(options.device)
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def identity(self) -> Mapping[str, JSON]:
        """Return kind, name, digest of the files, dtype and kind of device."""
        return {
            "kind": "transformers",
            "model": Path(self._options.model).name,
            "digest": digest_of(self._folder),
            "dtype": self._options.dtype,
            "device": self._options.device.partition(":")[0],
            "temperature": 0,
            **({} if self._options.max_tokens is None else {"max_tokens": self._options.max_tokens}),
        }

    def ask(self, messages: Sequence[Message], max_tokens: int) -> Reply:
        """Return the reply (raises Refused where it does not fit into the model, UsageError where that is unusable)."""
        with self._lock:
            self._loaded = model, tokenizer = self._loaded or self._load()
            return _generated(model, tokenizer, messages, max_tokens)

    def close(self) -> None:
        """Free the model."""
        self._loaded = None

    def _load(self) -> tuple[Any, Any]:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self._folder, local_files_only=True, trust_remote_code=False)
            model = AutoModelForCausalLM.from_pretrained(
                self._folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=getattr(torch, self._options.dtype),
            )
        except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"{self._folder} cannot be loaded as a judge ({reason}); choose another model.") from error
        return model.to(self._options.device).eval(), tokenizer


def _generated(model: Any, tokenizer: Any, messages: Sequence[Message], max_tokens: int) -> Reply:
    import torch

    try:
        ids = tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"the judge's chat template takes no such messages ({error}); choose another model."
        ) from error
    except Exception as error:
        # Templates raise jinja2's own errors, e.g. for a role that they do not have.
        if type(error).__module__.startswith("jinja2"):
            raise UsageError(
                f"the judge's chat template takes no such messages ({error}); choose another model."
            ) from error
        raise
    room = getattr(model.config, "max_position_embeddings", None)
    if room is not None and ids.shape[1] + max_tokens > room:
        raise Refused(f"takes {room} tokens, the request has {ids.shape[1]} and its reply up to {max_tokens}")
    with torch.inference_mode():
        written = model.generate(
            ids.to(model.device),
            attention_mask=torch.ones_like(ids).to(model.device),
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=max_tokens,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        )[0, ids.shape[1] :]
    text = tokenizer.decode(written, skip_special_tokens=True)
    return Reply(text, None, int(ids.shape[1]), int(written.shape[0]))


def _check_device(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            raise UsageError(f"--judge-device {device}: there is no GPU here; take cpu, or ask a served judge.")


def folder_of(model: str) -> Path:
    """Return the folder of a model, which is one itself or an id in the hub's local cache (raises UsageError)."""
    folder = Path(model)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(model, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError, OSError):
            raise UsageError(
                f"--judge-model {model} is neither a folder nor in the hub's local cache; fetch it with "
                f"`hf download {model}`, or name the folder."
            ) from None
    if lacking := _lacking(folder):
        raise UsageError(f"{folder} is no chat model that can judge: it has no {lacking}; choose another model.")
    return folder


def _lacking(folder: Path) -> str | None:
    if not (folder / "config.json").is_file():
        return "config.json"
    if not any(folder.glob("*.safetensors")):
        return "weights as .safetensors"
    if any(folder.glob("chat_template*")):
        return None
    try:
        stored = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "tokenizer_config.json that can be read"
    return None if stored.get("chat_template") else "chat template"


def digest_of(folder: Path) -> str:
    """Return the SHA-256 over names and contents of the files that can change a reply."""
    files = {path.name: path for pattern in IDENTIFYING for path in folder.glob(pattern) if path.is_file()}
    return digest_json({name: cached_digest(path) for name, path in sorted(files.items())})
