"""Any answer at all gives a valid density or an error of ours."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llm_prior_bo import SearchSpace, build_prior
from llm_prior_bo.elicitation import check_fit, parse_answer, validate_answer
from llm_prior_bo.errors import LLMPriorError
from llm_prior_bo.priors import MixturePrior

POOL: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(1e-6, 1.0, log=True),
    "x": FloatDistribution(-5.0, 10.0),
    "huge": FloatDistribution(-1e300, 1e300),
    "tiny": FloatDistribution(1e-300, 1e-200, log=True),
    "step": FloatDistribution(0.0, 0.9, step=0.1),
    "units": IntDistribution(1, 1024, log=True),
    "even": IntDistribution(-4, 12, step=4),
    "one": IntDistribution(3, 3),
    "act": CategoricalDistribution(["relu", "tanh", None]),
    "size": CategoricalDistribution([16, 32, 64]),
    "flag": CategoricalDistribution([True, False]),
    "only": CategoricalDistribution(["a"]),
    "größe ✓": CategoricalDistribution(["ä", "Ä", "1", 1]),
}

spaces = st.lists(st.sampled_from(sorted(POOL)), min_size=1, max_size=4, unique=True).map(
    lambda names: SearchSpace({name: POOL[name] for name in names})
)
hostile: st.SearchStrategy[Any] = st.sampled_from(
    [
        math.nan,
        math.inf,
        -math.inf,
        1e308,
        -1e308,
        5e-324,
        -0.0,
        10**400,
        True,
        None,
        "NaN",
        "1e400",
        "80 %",
        "",
        "\ud800",
        [],
    ]
)
numbers = st.one_of(
    st.floats(-10, 10),
    st.sampled_from([1e-6, 1e-3, 0.01, 0.1, 0.5, 1.0, 16, 1024]),
    st.floats(),
    st.integers(),
    hostile,
)
texts = st.one_of(st.sampled_from([*POOL, "LR", "eta", " act "]), st.text(max_size=8))
choices = st.one_of(st.sampled_from(["relu", "Tanh", "null", None, 32, "32.0", True, "false", "a", "Ä", 1]), texts)
region_numbers = st.one_of(st.integers(0, 3), hostile)


def row(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A row, sometimes with fields missing or too many, sometimes none at all."""
    whole = st.fixed_dictionaries(fields)
    partial = st.fixed_dictionaries({}, optional={**fields, "extra": hostile})
    return st.one_of(whole, whole, whole, partial, hostile)


def rows(one: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[Any]:
    many = st.lists(one, max_size=most)
    return st.one_of(many, many, many, st.dictionaries(texts, one, max_size=3), hostile)


regions = row(region=region_numbers, label=texts, weight=numbers)
numeric = row(region=region_numbers, parameter=texts, best=numbers, low=numbers, high=numbers)
categorical = row(region=region_numbers, parameter=texts, choice=choices, weight=numbers)
correlations = row(region=region_numbers, first=texts, second=texts, rho=numbers)
lists = {
    "regions": rows(regions, 10),
    "numeric": rows(numeric, 6),
    "categorical": rows(categorical, 6),
    "correlations": rows(correlations, 4),
}
others: dict[str, st.SearchStrategy[Any]] = {"notes": st.one_of(texts, hostile), "confidence": numbers}
scalars = st.one_of(hostile, texts, st.integers())
anything = st.recursive(scalars, lambda inner: st.one_of(st.lists(inner), st.dictionaries(texts, inner)), max_leaves=8)


@st.composite
def fitting(draw: st.DrawFn, space: SearchSpace) -> dict[str, Any]:
    """Rows about this very space, so that many examples get as far as a density."""
    names = st.sampled_from(space.names)
    number = st.integers(1, 2)
    return {
        "notes": "",
        "regions": [{"region": i, "label": "", "weight": draw(numbers)} for i in (1, 2)],
        "numeric": draw(
            st.lists(
                st.fixed_dictionaries(
                    {"region": number, "parameter": names, "best": numbers, "low": numbers, "high": numbers}
                ),
                max_size=5,
            )
        ),
        "categorical": draw(
            st.lists(
                st.fixed_dictionaries({"region": number, "parameter": names, "choice": choices, "weight": numbers}),
                max_size=5,
            )
        ),
        "correlations": draw(
            st.lists(
                st.fixed_dictionaries({"region": number, "first": names, "second": names, "rho": numbers}), max_size=3
            )
        ),
        "confidence": draw(numbers),
    }


@st.composite
def cases(draw: st.DrawFn) -> tuple[SearchSpace, Any]:
    space = draw(spaces)
    answers = st.one_of(
        fitting(space),
        fitting(space),
        st.fixed_dictionaries({}, optional={**lists, **others, "mood": hostile}),
        anything,
    )
    return space, draw(answers)


def as_text(answer: Any) -> str:
    """JSON as a model writes it, not as a strict writer would: NaN, 1e400 and half characters included."""
    return json.dumps(answer, ensure_ascii=False)


def check_density(prior: MixturePrior, space: SearchSpace, seed: int) -> None:
    """Finite where it is used, normalised, and its points legal."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(64, len(space), generator=generator, dtype=torch.float64)
    points = torch.as_tensor(space.snap(uniform.numpy() * widths(space)))
    samples = prior.sample(16, generator=generator)
    mode = prior.mode()
    for X in (points, samples, mode.reshape(1, -1)):
        log_prob = prior.log_prob(X)
        assert log_prob.shape == X.shape[:-1]
        assert torch.isfinite(log_prob).all()
    for x in (*samples, mode):
        params = space.decode(x.numpy())
        assert all(d._contains(d.to_internal_repr(params[name])) for name, d in space.distributions.items())
    assert prior.uniform_weight >= 0.05 - 1e-12
    assert sum(prior.weights) + prior.uniform_weight == pytest.approx(1.0)
    grid = every_point(space)
    if grid is not None:
        assert torch.exp(prior.log_prob(grid)).mean() == pytest.approx(1.0, abs=1e-6)


def widths(space: SearchSpace) -> Any:
    return [column.n_values if column.kind == "categorical" else 1.0 for column in space.columns]


def every_point(space: SearchSpace, most: int = 400) -> torch.Tensor | None:
    """All points of a space of few, `n x d`; `None` if there are more."""
    sizes = [column.n_values for column in space.columns]
    if any(n is None for n in sizes) or math.prod(n for n in sizes if n) > most:
        return None
    values = [_values(space.distributions[name]) for name in space.names]
    return torch.as_tensor(space.encode([dict(zip(space.names, v, strict=True)) for v in itertools.product(*values)]))


def _values(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    step = distribution.step or 1
    n = round((distribution.high - distribution.low) / step) + 1
    return [distribution.low + i * step for i in range(n)]


def check_answer(case: tuple[SearchSpace, Any], outcomes: list[bool] | None = None) -> None:
    space, answer = case
    for form in (as_text(answer), answer) if isinstance(answer, dict) else (as_text(answer),):
        try:
            validated, repairs = validate_answer(form, space)
            prior = build_prior(validated, space)
        except LLMPriorError as error:
            str(error).encode()
            built = False
        else:
            assert all(repair.encode() and "\n" not in repair for repair in repairs)
            assert validate_answer(validated, space)[1] == ()  # nothing is left to repair
            assert validated.model_validate_json(validated.model_dump_json()) == validated
            check_density(prior, space, seed=0)
            built = True
        if outcomes is not None:
            outcomes.append(built)


def fuzz(max_examples: int) -> list[bool]:
    outcomes: list[bool] = []

    @settings(max_examples=max_examples, suppress_health_check=list(HealthCheck))
    @given(cases())
    def examples(case: tuple[SearchSpace, Any]) -> None:
        check_answer(case, outcomes)

    examples()
    return outcomes


def test_a_few_hundred_answers() -> None:
    outcomes = fuzz(300)
    assert 0 < sum(outcomes) < len(outcomes)  # both ways are taken


@pytest.mark.slow
def test_ten_thousand_answers() -> None:
    outcomes = fuzz(10_000)
    print(f"{len(outcomes)} answers, {sum(outcomes)} of them with a density")
    assert len(outcomes) >= 10_000
    assert sum(outcomes) >= 2_000


@settings(max_examples=300)
@given(st.one_of(st.text(), st.text('{}[]":,`json 0regionsmuc\n', max_size=200), st.binary().map(repr)))
def test_any_text(text: str) -> None:
    try:
        data = parse_answer(text)
        check_fit(data, SearchSpace({"lr": POOL["lr"]}))
    except LLMPriorError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 100_000,
        "[" * 500_000,
        ('{"k":[' + "0," * 400) * 600,
        '{"' * 250_000,
        "```json\n" * 60_000,
        "```json" + "\n" * 499_000 + "x",
        "```" + " " * 499_000 + "x",
        "```" + "a" * 499_000,
        "```\n" + "{" * 200_000 + "```" * 50_000,
        '"' + "\\\\" * 249_000,
        '{"regions": ' * 40_000,
    ],
    ids=[
        "objects",
        "lists",
        "long rows",
        "names",
        "fences",
        "white space",
        "blanks",
        "language",
        "mixed",
        "escapes",
        "marks",
    ],
)
def test_hostile_shapes_are_read_in_bounded_time(text: str) -> None:
    """Half a megabyte each: what takes the square of that would not end here."""
    with pytest.raises(LLMPriorError):
        parse_answer(text[:499_999])
