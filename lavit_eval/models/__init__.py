"""The Model protocol: what answers requests. Knows nothing of tasks or metrics."""

from lavit_eval.models.protocol import Model, ModelFactory, ModelOptions

__all__ = ["Model", "ModelFactory", "ModelOptions"]
