"""Trains the canary: `python training/train.py understanding|generation --out DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    import torch

    from lavit_eval.errors import UsageError

    options = _options(arguments)
    torch.set_num_threads(options.threads)
    try:
        (_generation if options.half == "generation" else _understanding)(options)
    except UsageError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("half", choices=["understanding", "generation"], help="which half of the model to train")
    parser.add_argument("--out", type=Path, required=True, help="folder of data, states, log and checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--brief", action="store_true", help="a few steps of everything: proves the path")
    parser.add_argument("--until", help="stop after this stage (default: the last)")
    only = parser.add_argument_group("generation only")
    only.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    only.add_argument("--steps", default="", help="other numbers of steps, e.g. film=2000,codes=0")
    only.add_argument("--understanding", type=Path, help="checkpoint to begin from (default: DIR's, else the shipped)")
    return parser.parse_args(arguments)


def _understanding(options: argparse.Namespace) -> None:
    from lavit_eval.errors import UsageError
    from training.recipe import BRIEF, FULL
    from training.understanding import STAGES, train_understanding

    if options.device != "cpu" or options.steps or options.understanding:
        raise UsageError("--device, --steps and --understanding are for generation; the other half needs none of them.")
    until = options.until or STAGES[-1]
    if until not in STAGES:
        raise UsageError(f"There is no stage {until!r}; --until takes one of {', '.join(STAGES)}.")
    train_understanding(options.out, replace(BRIEF if options.brief else FULL, seed=options.seed), until)


def _generation(options: argparse.Namespace) -> None:
    from lavit_eval.models.video_lavit.loading import parse_device
    from training.generation import SHIPPED, train_generation
    from training.generation_recipe import BRIEF_GENERATION, FULL_GENERATION, STAGES

    recipe = (BRIEF_GENERATION if options.brief else FULL_GENERATION).with_steps(options.steps)
    recipe = replace(recipe, data=replace(recipe.data, seed=options.seed))
    own = options.out / "checkpoints" / "final"
    understanding = options.understanding or (own if own.is_dir() else SHIPPED)
    until = options.until or STAGES[-1]
    train_generation(options.out, recipe, understanding, parse_device(options.device), until)


if __name__ == "__main__":
    sys.exit(main())
