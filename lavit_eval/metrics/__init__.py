"""One module per metric: from answers or files to per-sample statistics; a metric knows nothing of models."""

from lavit_eval.metrics.protocol import FileMetric, Made, Measured, Metric

__all__ = ["FileMetric", "Made", "Measured", "Metric"]
