"""Objects are shown as short tables, and text of others does nothing there."""

from __future__ import annotations

import io

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from rich.console import Console

from llm_prior_bo import (
    Elicitation,
    FixedElicitor,
    LLMPriorSampler,
    MixturePrior,
    PriorAnswer,
    SearchSpace,
    UniformPrior,
    build_prior,
    study_statistics,
)
from llm_prior_bo._display import MAX_CELL_CHARACTERS, MAX_ROWS, Displayed, TextTable
from llm_prior_bo.priors import RegionPrior, SplitNormalMarginal
from tests.scripts import run_python

NASTY = "<script>x</script>\x1b[31m[bold]\u202e\n"
SPACE = SearchSpace({"x": FloatDistribution(0.0, 1.0), "kind": CategoricalDistribution(["a", "b"])})
ANSWER = PriorAnswer.by_hand(
    numeric={"x": (0.5, 0.25, 0.75)}, categorical={"kind": {"a": 0.7}}, notes=NASTY
).model_copy(update={"regions": [{"region": 1, "label": NASTY, "weight": 1.0}]})
ANSWER = PriorAnswer.model_validate(ANSWER.model_dump(warnings=False))


def statistics() -> Displayed:
    study = optuna.create_study(sampler=LLMPriorSampler(elicitor=FixedElicitor(ANSWER), search_space=SPACE, seed=0))
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + (t.suggest_categorical("kind", ["a", "b"]) == "a"), 12)
    return study_statistics(study)


def shown() -> dict[str, Displayed]:
    prior = build_prior(ANSWER, SPACE)
    assert isinstance(prior, MixturePrior)
    return {
        "answer": ANSWER,
        "elicitation": Elicitation(ANSWER, model=NASTY, repairs=(NASTY,)),
        "mixture": prior,
        "uniform": UniformPrior(SearchSpace({NASTY: FloatDistribution(0.0, 1.0)})),
        "sampler": LLMPriorSampler(prior=prior),
        "statistics": statistics(),
    }


@pytest.fixture(scope="module", params=["answer", "elicitation", "mixture", "uniform", "sampler", "statistics"])
def one(request: pytest.FixtureRequest) -> Displayed:
    return shown()[request.param]


def test_best_points_name_what_a_region_has_an_opinion_on() -> None:
    space = SearchSpace({"known": FloatDistribution(0.0, 1.0), "unknown": FloatDistribution(0.0, 1.0)})
    region = RegionPrior(space, {"known": SplitNormalMarginal(space.column("known"), 0.25, 0.1, 0.1)}, label="low")
    text = str(MixturePrior(space, [region], [0.9], 0.1)._display())
    assert "known 0.25" in text
    assert "unknown 0" not in text


def test_nothing_acts(one: Displayed) -> None:
    console = Console(file=io.StringIO(), width=300)
    console.print(one)
    assert isinstance(console.file, io.StringIO)
    for text in (str(one), one._repr_html_(), console.file.getvalue()):
        assert not {"\x1b", "\u202e"} & set(text)
    assert "<script>" not in one._repr_html_()
    if NASTY[:8] in str(one):
        assert "[bold]" in console.file.getvalue()


def test_ipython_shows_it_as_text_too(one: Displayed) -> None:
    assert "_repr_pretty_" in vars(type(one))  # IPython takes a dataclass's own __repr__ before an inherited method


def test_it_is_short(one: Displayed) -> None:
    assert len(str(one)) < 2_000


def test_an_answer_says_what_is_believed() -> None:
    assert str(PriorAnswer.by_hand(numeric={"x": (0.5, 0.25, 0.75)}, categorical={"kind": {"a": 0.7}})).split("\n") == [
        "Answer with 1 region, confidence 0.8",
        "  region   weight  parameter  belief",
        "  by hand  1       x          0.5 (0.25 to 0.75)",
        "                   kind       a 0.7",
    ]


def test_statistics_show_the_last_trials_and_the_certificate() -> None:
    told = statistics()
    lines = str(told).split("\n")
    assert [line.split()[0] for line in lines[2:12]] == [str(number) for number in range(2, 12)]
    assert lines[-1].startswith("0 of 7 suggestions of the model are certified")
    assert told._repr_html_().count("<tr>") == 11


def test_a_sampler_has_one_line_for_optuna_and_a_table_for_people() -> None:
    sampler = LLMPriorSampler("gpt-4o", search_space=SPACE, decay=None, trust=None)
    assert str(sampler) == "LLMPriorSampler(gpt-4o)"
    assert "<td>not multiplied</td>" in sampler._repr_html_()


def test_long_tables_and_cells_are_cut() -> None:
    table = TextTable.of("t", ("a",), [("x" * 999,)] * (MAX_ROWS + 2), ["below"])
    assert len(table.rows) == MAX_ROWS
    assert table.rows[0][0] == "x" * MAX_CELL_CHARACTERS + "..."
    assert table.lines == ("... and 2 more rows", "below")


def test_rich_is_imported_only_where_it_shows() -> None:
    script = """
        import sys
        from llm_prior_bo import PriorAnswer
        answer = PriorAnswer.by_hand(numeric={"x": (0.5, 0.25, 0.75)})
        before = "rich.table" in sys.modules
        answer._repr_html_(), str(answer)
        print(before, "rich.table" in sys.modules)
    """
    assert run_python(script).split() == ["False", "False"]


def test_whoever_says_nothing_has_no_table() -> None:
    with pytest.raises(NotImplementedError):
        str(Displayed())
