"""One worker finds out how many requests its device takes, before a run is planned."""

from __future__ import annotations

from lavit_eval.engines.pool import Pool, Ready
from lavit_eval.models.protocol import Fit

PATIENCE = 1.0


def fits_of(pool: Pool) -> list[Fit]:
    """Start workers that were given demands, and return what the first that is ready found; the pool is closed.

    Raises:
        UsageError: A worker cannot take part.
        WorkerError: The model raised what nobody foresaw.
    """
    try:
        pool.start()
        while True:
            for event in pool.events(PATIENCE):
                if isinstance(event, Ready):
                    return list(event.fits)
    finally:
        pool.close()
