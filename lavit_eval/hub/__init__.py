"""Benchmarks from the hub of `datasets`: rows are written once as the official layout, which the readers then read."""

from lavit_eval.hub.copies import HubCopy, hub_copies

__all__ = ["HubCopy", "hub_copies"]
