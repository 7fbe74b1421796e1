"""The loop that every stage shares: seeded steps, a log, and a state that a later start continues from."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from lavit_eval.files import write_atomic
from lavit_eval.sample import derive_seed
from training.recipe import Stage

Step = Callable[[int, torch.Generator], tuple[Tensor, Mapping[str, float]]]
CLIP = 1.0
"""The longest gradient."""
LOG_EVERY = 10
MUON_RATE = 0.02
MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")
HEADS = ("reader", "alpha", "painter", "linear")
"""Names of what is trained beside the model and thrown away."""
OUTER = ("embed", "head", "reader", "alpha", "painter", "linear", "in_proj", "vit_proj", "encode_task_layer")
"""Names of parts whose matrices read inputs or write outputs."""


class Log:
    """Lines of JSON, shown and appended to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began = time.monotonic()

    def write(self, stage: str, **facts: object) -> None:
        """Append one line with the seconds since this process began, and those that it has computed."""
        spent = {"seconds": round(time.monotonic() - self.began, 1), "computed": round(time.process_time(), 1)}
        line = json.dumps({"stage": stage, **spent, **facts})
        print(line, flush=True)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def generator(seed: int, stage: str, step: int) -> torch.Generator:
    """Return the generator that belongs to one step: a resumed training draws what an unbroken one does."""
    return torch.Generator().manual_seed(derive_seed("canary", str(seed), stage, str(step)))


def rate_at(stage: Stage, step: int) -> float:
    """Return the learning rate of a step."""
    warm = max(1, stage.steps // 10)
    if step < warm:
        return stage.rate * (step + 1) / warm
    done = (step - warm) / max(1, stage.steps - warm)
    return stage.rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


class Trainer:
    """Trains the parameters and keeps the buffers of a module through one stage.

    Args:
        name: The stage, e.g. "motion".
        module: All that the stage changes; its state dict is what is saved.
        stage: How long and how fast.
        folder: Where the state lies.
        seed: The recipe's seed.
        log: Where losses go.
    """

    def __init__(self, name: str, module: nn.Module, stage: Stage, folder: Path, seed: int, log: Log) -> None:
        self.name, self.module, self.stage, self.seed, self.log = name, module, stage, seed, log
        self.path = folder / f"{name}.safetensors"
        _settle(module, seed, name)
        self.named = {name: value for name, value in module.named_parameters() if value.requires_grad}
        # Matrices inside the networks are moved by Muon, which here learns in a fifth of the steps; all else by AdamW.
        inner = {name: value for name, value in self.named.items() if value.ndim == 2 and not _outer(name)}
        rest = [value for name, value in self.named.items() if name not in inner]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=stage.rate, betas=(0.9, 0.98), weight_decay=0.02)
        ]
        if inner:
            self.optimisers.append(torch.optim.Muon(inner.values(), lr=MUON_RATE, momentum=0.95, weight_decay=0.01))
        self.step = 0
        if self.path.is_file():
            self._resume()

    def run(self, work: Step, until: int | None = None, after: Callable[[int], None] | None = None) -> None:
        """Train up to a step (default: the stage's last), from wherever the state stands.

        Args:
            work: Step and its generator -> loss and facts for the log.
            until: The step to stop before.
            after: Called with the number of steps done, after each.
        """
        last = self.stage.steps if until is None else min(until, self.stage.steps)
        while self.step < last:
            self._set_rates()
            loss, facts = work(self.step, generator(self.seed, self.name, self.step))
            for optimiser in self.optimisers:
                optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.named.values(), CLIP)
            for optimiser in self.optimisers:
                optimiser.step()
            self.step += 1
            if self.step % LOG_EVERY == 0 or self.step == last:
                shown = {key: round(value, 4) for key, value in facts.items()}
                self.log.write(self.name, step=self.step, loss=round(float(loss.detach()), 4), **shown)
            if self.step % self.stage.save_every == 0 or self.step == last:
                self.save()
            if after is not None:
                after(self.step)

    def save(self) -> None:
        """Write module, moments and step in one file that appears whole."""
        tensors = {f"module.{name}": value.detach().clone() for name, value in self.module.state_dict().items()}
        for name, value in self.named.items():
            state = self._state(value)
            tensors |= {f"{key}.{name}": state[key] for key in MOMENTS if key in state}
        metadata = {"step": str(self.step)}
        write_atomic(self.path, safetensors.torch.save(tensors, metadata=metadata))

    def _resume(self) -> None:
        with safetensors.safe_open(str(self.path), framework="pt") as stored:
            self.step = int(stored.metadata()["step"])
        held = safetensors.torch.load_file(self.path)
        self.module.load_state_dict(
            {name.removeprefix("module."): value for name, value in held.items() if name.startswith("module.")}
        )
        for name, value in self.named.items():
            moments = {key: held[f"{key}.{name}"] for key in MOMENTS if f"{key}.{name}" in held}
            if "exp_avg" in moments:
                moments["step"] = torch.tensor(float(self.step))
            self._state(value).update(moments)

    def _state(self, value: Tensor) -> dict[str, Tensor]:
        """Return what an optimiser keeps of a parameter."""
        owner = next(
            optimiser
            for optimiser in self.optimisers
            if any(value is held for group in optimiser.param_groups for held in group["params"])
        )
        state: dict[str, Tensor] = owner.state[value]
        return state

    def _set_rates(self) -> None:
        share = rate_at(self.stage, self.step) / self.stage.rate
        for optimiser, top in zip(self.optimisers, (self.stage.rate, MUON_RATE), strict=False):
            for group in optimiser.param_groups:
                group["lr"] = share * top


@torch.no_grad()
def _settle(module: nn.Module, seed: int, stage: str) -> None:
    """Draw anew what torch's own generator has drawn: the heads that are trained beside the model."""
    drawing = generator(seed, f"{stage} heads", 0)
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear) and any(head in HEADS for head in name.split(".")):
            part.weight.normal_(std=part.in_features**-0.5, generator=drawing)
            part.bias.zero_()


def _outer(name: str) -> bool:
    """Say whether a matrix stands at the edge of a network, where AdamW suits better."""
    return any(part in OUTER for part in name.split("."))
