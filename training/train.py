"""Trains the canary: `python training/train.py understanding --out DIR`."""

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
    from training.recipe import BRIEF, FULL
    from training.understanding import train_understanding

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("half", choices=["understanding"], help="which half of the model to train")
    parser.add_argument("--out", type=Path, required=True, help="folder of data, states, log and checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--brief", action="store_true", help="a few steps of everything: proves the path")
    parser.add_argument("--until", default="language", help="stop after this stage")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        train_understanding(options.out, replace(BRIEF if options.brief else FULL, seed=options.seed), options.until)
    except UsageError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
