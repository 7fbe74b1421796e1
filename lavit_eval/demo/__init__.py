"""The demo data: made pictures and clips in the official layouts of the benchmarks, so the demo goes the real way."""

from __future__ import annotations

from lavit_eval.demo.data import DEMO_COUNTS, DEMO_VERSION, demo_counts, make_demo_data

__all__ = ["DEMO_COUNTS", "DEMO_VERSION", "demo_counts", "make_demo_data"]
