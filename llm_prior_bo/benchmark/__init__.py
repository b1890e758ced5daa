"""Comparison of samplers on problems whose optimum is known, under good and bad priors.

    python -m llm_prior_bo.benchmark run --seeds 0-10 --trials 50 --workers 2 --out results.jsonl
    python -m llm_prior_bo.benchmark report results.jsonl --figure regret.png

`run_tasks` runs any function of a `Task` on several processes and takes up again what was interrupted; `run_study` is
the one for the problems, priors and methods named here.
"""

from llm_prior_bo.benchmark.dynabo import AcceptanceTest
from llm_prior_bo.benchmark.methods import METHODS, PRIOR_FREE, Method, get_method
from llm_prior_bo.benchmark.priors import PRIOR_KINDS, make_prior
from llm_prior_bo.benchmark.problems import PROBLEMS, Problem, get_problem
from llm_prior_bo.benchmark.report import draw, markdown_table
from llm_prior_bo.benchmark.runner import Record, Task, read_records, run_tasks
from llm_prior_bo.benchmark.study import make_tasks, run_study
from llm_prior_bo.benchmark.summary import (
    Comparison,
    MeanDifference,
    Quartiles,
    SummaryRow,
    TrustRow,
    paired_bootstrap,
    summarize,
    trust_table,
)

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
