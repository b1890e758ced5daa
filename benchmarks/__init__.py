"""Comparisons and measurements, run from the root of the repository: `python -m benchmarks.NAME --help`.

They are no part of the installed package. `benchmarks.harness` is what they share: test functions with known optima,
good and bad priors, the runner, tables.
"""

from __future__ import annotations

import os

# Before NumPy and PyTorch are imported: more threads are slower on shared cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
