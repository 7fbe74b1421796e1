"""One module per metric. A metric turns (Sample, text) pairs into per-sample statistics; it knows nothing of models."""

from lavit_eval.metrics.protocol import Measured, Metric

__all__ = ["Measured", "Metric"]
