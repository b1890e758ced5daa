from __future__ import annotations

import sys

import optuna
import pytest

from llm_prior_bo.space import Column
from llm_prior_bo.visualization import plot_comparison
from llm_prior_bo.visualization.plotly_import import as_text, axis_of
from tests.scripts import run_python


def test_what_to_do_where_plotly_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ImportError, match=r"pip install 'llm-prior-bo\[visualization\]'"):
        plot_comparison(optuna.create_study())


def test_importing_the_figures_leaves_plotly_and_jinja_alone() -> None:
    code = "import sys, llm_prior_bo.visualization; print([m for m in ('plotly', 'jinja2') if m in sys.modules])"
    assert run_python(code).strip() == "[]"


def test_texts_are_escaped_and_cut() -> None:
    assert as_text("<b>&\u202e") == "&lt;b&gt;&amp;\\u202e"
    assert as_text("abcdef", limit=4) == "abc…"


def test_axes_are_on_the_scale_of_the_parameter() -> None:
    axis = axis_of(Column("rate", optuna.distributions.FloatDistribution(1e-6, 1.0, log=True)))
    assert (axis["type"], axis["dtick"]) == ("log", 2)
    assert axis["range"] == pytest.approx([-6.18, 0.18])
    assert axis_of(Column("x", optuna.distributions.FloatDistribution(0, 1))) == {"title": {"text": "x"}}
