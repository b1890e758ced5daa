"""Figures and a report of what a study believes about its optimum, and what came of it.

The figures need plotly (`pip install "llm-prior-bo[visualization]"`), which is imported when the first one is drawn.
"""

from llm_prior_bo.visualization.attribution import plot_attribution
from llm_prior_bo.visualization.comparison import plot_comparison
from llm_prior_bo.visualization.dashboard import DashboardCallback, publish_to_dashboard
from llm_prior_bo.visualization.prior import plot_prior
from llm_prior_bo.visualization.prior_pair import plot_prior_pair
from llm_prior_bo.visualization.report import save_report
from llm_prior_bo.visualization.trust import plot_trust

__all__ = [
    "DashboardCallback",
    "plot_attribution",
    "plot_comparison",
    "plot_prior",
    "plot_prior_pair",
    "plot_trust",
    "publish_to_dashboard",
    "save_report",
]
