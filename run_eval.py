"""The main entry: `python run_eval.py ...` is `lavit-eval run ...`; without arguments it runs the demo suite."""

import sys

from lavit_eval.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
