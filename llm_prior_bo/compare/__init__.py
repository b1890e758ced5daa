"""Comparison of samplers: `compare` runs them on the same tasks with the same seeds, `read_comparison` reads it again.

The function `compare` has the name of this package: `from llm_prior_bo.compare.runner import run_tasks` finds its
modules, while `llm_prior_bo.compare` is the function.
"""

from llm_prior_bo.compare.comparison import compare
from llm_prior_bo.compare.inputs import ComparisonTask
from llm_prior_bo.compare.result import ComparisonResult, read_comparison

__all__ = ["ComparisonResult", "ComparisonTask", "compare", "read_comparison"]
