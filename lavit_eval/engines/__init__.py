"""Who runs the model. One engine so far: this process."""

from lavit_eval.engines.in_process import answer

__all__ = ["answer"]
