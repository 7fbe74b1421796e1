"""One module per official data layout; each turns annotation files into Samples and knows nothing else."""

from lavit_eval.benchmarks.protocol import Benchmark, Found

__all__ = ["Benchmark", "Found"]
