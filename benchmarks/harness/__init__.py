"""Comparison of samplers on problems whose optimum is known, under good and bad priors.

    python -m benchmarks.harness run --seeds 0-10 --trials 50 --workers 2 --out results.jsonl
    python -m benchmarks.harness report results.jsonl --figure regret.png

`run_tasks` runs any function of a `Task` on several processes and takes up again what was interrupted; `run_study` is
the one for the problems, priors and methods named here.
"""

from benchmarks.harness.dynabo import AcceptanceTest
from benchmarks.harness.methods import METHODS, PRIOR_FREE, Method, get_method
from benchmarks.harness.priors import PRIOR_KINDS, make_prior
from benchmarks.harness.problems import PROBLEMS, Problem, get_problem
from benchmarks.harness.report import draw
from benchmarks.harness.study import make_tasks, run_study
from benchmarks.harness.summary import SummaryRow, TrustRow, summarize, trust_table
from llm_prior_bo.compare.markdown import markdown_table
from llm_prior_bo.compare.runner import Record, Task, finished, read_records, run_tasks
from llm_prior_bo.compare.statistics import Comparison, MeanDifference, Quartiles, paired_bootstrap

__all__ = [
    "METHODS",
    "PRIOR_FREE",
    "PRIOR_KINDS",
    "PROBLEMS",
    "AcceptanceTest",
    "Comparison",
    "MeanDifference",
    "Method",
    "Problem",
    "Quartiles",
    "Record",
    "SummaryRow",
    "Task",
    "TrustRow",
    "draw",
    "finished",
    "get_method",
    "get_problem",
    "make_prior",
    "make_tasks",
    "markdown_table",
    "paired_bootstrap",
    "read_records",
    "run_study",
    "run_tasks",
    "summarize",
    "trust_table",
]
