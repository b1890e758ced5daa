"""A prior that was given beside somebody who is asked: its own clock, trust and share, told apart everywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution

from llm_prior_bo import (
    Correlation,
    FixedElicitor,
    LLMElicitor,
    LLMPriorSampler,
    MixturePrior,
    PowerDecay,
    PriorAnswer,
    Region,
    SearchSpace,
    build_prior,
    explain,
    pool_priors,
    prior_from_study,
    prior_of,
    study_statistics,
)
from llm_prior_bo.elicitation import FunctionClient
from llm_prior_bo.errors import ElicitationWarning
from llm_prior_bo.study.given_record import load_given, save_given
from llm_prior_bo.study.storage import set_study_attribute, study_attributes
from llm_prior_bo.study.trial_records import Suggestion

SPACE = SearchSpace({"x": FloatDistribution(0.0, 1.0), "c": CategoricalDistribution(["a", "b"])})


def answer_at(x: float, label: str) -> PriorAnswer:
    told = PriorAnswer.by_hand(
        numeric={"x": (x, max(x - 0.05, 0.0), min(x + 0.05, 1.0))}, categorical={"c": {"b": 0.9}}
    )
    return told.model_copy(update={"regions": [Region(region=1, label=label, weight=1.0)]})


GIVEN = build_prior(answer_at(0.9, "mine"), SPACE)
ANSWER = answer_at(0.1, "theirs")


def objective(trial: optuna.Trial) -> float:
    return (trial.suggest_float("x", 0, 1) - 0.1) ** 2 + (trial.suggest_categorical("c", ["a", "b"]) == "a")


def run(n_trials: int, **arguments: Any) -> optuna.Study:
    arguments = {"elicitor": FixedElicitor(ANSWER), "prior": GIVEN, "seed": 0, **arguments}
    study = optuna.create_study(sampler=LLMPriorSampler(**arguments))
    study.optimize(objective, n_trials)
    return study


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    return run(9)


def suggestions_of(study: optuna.Study) -> dict[int, Suggestion]:
    return study_statistics(study).suggestions


def test_the_start_up_has_the_best_points_of_both(study: optuna.Study) -> None:
    told = suggestions_of(study)
    assert [told[number].source for number in range(2)] == ["mode", "region"]
    assert {told[number].region for number in range(2)} == {"mine", "theirs"}
    assert sorted(study.trials[number].params["x"] for number in range(2)) == pytest.approx([0.1, 0.9])


def test_each_has_its_own_trust_and_the_wrong_one_loses_it(study: optuna.Study) -> None:
    row = study_statistics(study).trace()[-1]
    given, answer = row["answers"]
    assert (given["name"], answer["name"]) == ("given prior", "answer of trial 0")
    assert given["trust"] < 0.3 < answer["trust"]
    assert dict(zip(given["region_labels"], given["region_weights"], strict=True)) == {"mine": given["trust"]}
    assert (given["age"], answer["age"]) == (8, 8)


def test_the_certificate_is_that_of_the_sum(study: optuna.Study) -> None:
    for suggestion in suggestions_of(study).values():
        if suggestion.phase == "model":
            product = math.prod(part.loss_bound for part in suggestion.answers)
            assert suggestion.loss_bound == pytest.approx(product)
            assert math.log(product) <= 20.0 / max(suggestion.n, 1) + 1e-9


def test_whoever_reads_the_study_alone_tells_them_apart(study: optuna.Study) -> None:
    study.sampler = optuna.samplers.RandomSampler()
    pooled = prior_of(study, trust=None)
    assert isinstance(pooled, MixturePrior)
    assert [region.label for region in pooled.regions] == ["mine", "theirs"]
    assert [share.name for share in explain(study, 8).regions] == ["given prior", "answer of trial 0"]
    assert "Given prior: trust" in str(explain(study, 8))
    assert len(explain(study, 0).regions) == 2


def test_figures_and_the_report_tell_them_apart(study: optuna.Study, tmp_path: Path) -> None:
    from llm_prior_bo import save_report
    from llm_prior_bo.visualization import plot_attribution, plot_trust
    from llm_prior_bo.visualization.sources import stated_prior

    assert [region.label for region in stated_prior(study).regions] == ["given prior: mine", "trial 0: theirs"]
    assert [trace.name for trace in plot_trust(study).data[:2]] == ["given prior: mine", "trial 0: theirs"]
    assert [trace.name for trace in plot_attribution(study).data[1:]] == ["answer, given prior", "answer, trial 0"]
    assert "given prior: mine" in save_report(study, tmp_path / "report.html").read_text(encoding="utf-8")


def down(*_: object, **__: object) -> str:
    raise OSError("nobody there")


def test_the_given_prior_works_while_the_model_is_down() -> None:
    elicitor = LLMElicitor(client=FunctionClient(down), max_retries=0)
    with pytest.warns(ElicitationWarning, match=r"The study goes on with the given prior alone\.$"):
        study = run(7, elicitor=elicitor)
    told = suggestions_of(study)
    assert told[0].params["x"] == pytest.approx(0.9)
    assert [part.name for part in told[6].answers] == ["given prior"]
    assert study_statistics(study).failures


@pytest.mark.parametrize("options", [{"trust": None}, {"decay": PowerDecay(10.0)}, {"decay": None}])
def test_other_settings(options: dict[str, Any]) -> None:
    told = suggestions_of(run(7, **options))[6]
    assert [part.name for part in told.answers] == ["given prior", "answer of trial 0"]


def test_a_session_without_it_is_not_read_as_one_with_it() -> None:
    study = run(6)
    study.sampler = LLMPriorSampler(elicitor=FixedElicitor(ANSWER), search_space=SPACE, seed=1)
    study.optimize(objective, 1)
    pooled = prior_of(study, trust=None)
    assert isinstance(pooled, MixturePrior)
    assert [region.label for region in pooled.regions] == ["theirs"]
    assert [share.name for share in explain(study, 5).regions] == ["given prior", "answer of trial 0"]


class TestStored:
    def test_it_comes_back_as_it_was(self) -> None:
        study = optuna.create_study()
        two = PriorAnswer.by_hand(numeric={"x": (0.2, 0.1, 0.4), "y": (0.5, 0.2, 0.6)})
        two = two.model_copy(update={"correlations": [Correlation(region=1, first="x", second="y", rho=0.5)]})
        space = SearchSpace({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
        other = build_prior(PriorAnswer.by_hand(numeric={"x": (1, 0, 1)}), space)
        prior = pool_priors([build_prior(two, space), other])
        assert prior.regions[0].correlations
        save_given(study, 3, prior)
        stored = load_given(study)
        assert stored is not None
        assert stored.trial_number == 3
        X = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(stored.prior.log_prob(X), prior.log_prob(X))

    def test_the_same_one_is_kept_once_and_the_latest_counts(self) -> None:
        study = optuna.create_study()
        other = build_prior(answer_at(0.5, "other"), SPACE)
        for number, prior in enumerate((GIVEN, GIVEN, build_prior(answer_at(0.9, "mine"), SPACE), other)):
            save_given(study, number, prior)
        assert len([key for key in study_attributes(study) if ":given:" in key]) == 2
        latest = load_given(study)
        assert latest is not None
        assert latest.prior.regions[0].label == "other"
        first = load_given(study, until=2)
        assert first is not None
        assert (first.prior.regions[0].label, first.trial_number) == ("mine", 0)

    def test_objects_as_choices_are_not_kept(self) -> None:
        with pytest.warns(UserWarning, match="persistent storage"):
            space = SearchSpace({"c": CategoricalDistribution([(1, 2), (3, 4)])})  # type: ignore[list-item]
        study = optuna.create_study()
        save_given(study, 0, build_prior(PriorAnswer.by_hand(categorical={"c": {"(1, 2)": 0.9}}), space))
        assert load_given(study) is None

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda record: record.update(prior=None),
            lambda record: record.update(prior={"regions": 3}),
            lambda record: record.update(distributions="{}"),
            lambda record: record["prior"].update(weights=[-1.0]),
            lambda record: record["prior"]["regions"][0]["marginals"].update(z={"mode": 0.5, "left": 1, "right": 1}),
            lambda record: record["prior"]["regions"][0]["marginals"]["x"].update(mode=7.0),
        ],
    )
    def test_a_tampered_record_is_ignored(self, spoil: Callable[[dict[str, Any]], object]) -> None:
        import hashlib

        study = optuna.create_study()
        save_given(study, 0, GIVEN)
        ((key, text),) = [item for item in study_attributes(study).items() if ":given:" in item[0]]
        record = json.loads(text)
        spoil(record)
        tampered = optuna.create_study()
        new = json.dumps(record)
        parts = key.split(":")
        parts[4] = hashlib.sha256(new.encode()).hexdigest()[:16]
        set_study_attribute(tampered, ":".join(parts), new)
        with pytest.warns(ElicitationWarning, match="cannot be used and is ignored"):
            assert load_given(tampered) is None


def test_a_pool_of_three_sources_keeps_regions_labels_and_trust_by_source() -> None:
    past = optuna.create_study(study_name="last year", sampler=optuna.samplers.RandomSampler(seed=0))
    past.optimize(objective, 20)
    sources = [build_prior(ANSWER, SPACE), GIVEN, prior_from_study(past, SPACE, top=3)]
    pooled = pool_priors(sources, weights=[3, 2, 1], names=["model", "by hand", "past"])
    labels = ["model: theirs", "by hand: mine", "past: study last year: best 3 of 20 trials"]
    assert [region.label for region in pooled.regions] == labels
    stated = [3 / 6 * float(sources[0].weights[0]), 2 / 6 * float(sources[1].weights[0]), 1 / 6 * 0.8]
    assert pooled.weights.tolist() == pytest.approx(stated)
    study = run(8, prior=pooled, elicitor=None)
    (part,) = study_statistics(study).trace()[-1]["answers"]
    assert list(part["region_labels"]) == labels
    trust = dict(zip(part["region_labels"], part["region_weights"], strict=True))
    assert trust[labels[1]] < stated[1] < stated[0] < trust[labels[0]]
    assert math.fsum(trust.values()) == pytest.approx(part["trust"])
