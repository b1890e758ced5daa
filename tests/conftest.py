"""What all tests share: one torch thread, reproducible examples, no network.

The socket is closed by the options in `pyproject.toml`, but for this machine itself.
"""

from __future__ import annotations

import os

# Read when the libraries are imported, so before them. Subprocesses of the tests inherit both.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # LiteLLM downloads a price table when it is imported

import hypothesis
import torch
from botorch.acquisition.multi_objective import logei

# Two threads are slower than one as soon as anything else runs on the machine.
torch.set_num_threads(1)

# BoTorch compiles a faster kernel for hypervolume functions on first use: half a minute, and a warning where there is
# no compiler. Its Python path computes the same.
logei._load_attempted = True

hypothesis.settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("deterministic")
