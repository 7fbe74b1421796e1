"""What metrics have in common that are a percentage of what is right."""

from __future__ import annotations

from typing import ClassVar


class Percentage:
    """0 to 100, more is better, computed by Python alone; a metric adds its version and what it measures."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "percent"
    bounds: ClassVar[tuple[float, float] | None] = (0.0, 100.0)

    def skipped_because(self) -> str | None:
        """Return None: nothing outside Python is needed."""
        return None
