from __future__ import annotations

import inspect

import pytest

from llm_prior_bo import BlindedElicitor, LLMElicitor, LLMPriorSampler
from llm_prior_bo.elicitation import LLMOptions
from llm_prior_bo.elicitation.options import elicitor_for
from llm_prior_bo.errors import ConfigurationError


def test_they_make_an_elicitor() -> None:
    elicitor = elicitor_for("gpt-4o", {"timeout": 7.0, "n_answers": 2, "top_p": 0.9})
    assert isinstance(elicitor, LLMElicitor)
    assert elicitor.settings.n_answers == 2
    assert elicitor._timeout == 7.0
    assert elicitor._client._options == {"top_p": 0.9}  # type: ignore[attr-defined]
    assert isinstance(elicitor_for("gpt-4o", {"blinded": True}), BlindedElicitor)
    assert isinstance(elicitor_for("gpt-4o", {"blinded": False}), LLMElicitor)


def test_all_are_documented_and_none_is_an_argument_of_the_sampler() -> None:
    documented = inspect.getdoc(LLMOptions) or ""
    assert [name for name in LLMOptions.__annotations__ if f"{name}: " not in documented] == []
    assert not LLMOptions.__annotations__.keys() & inspect.signature(LLMPriorSampler).parameters.keys()


def test_all_settings_of_an_elicitor_are_among_them() -> None:
    known = inspect.signature(LLMElicitor).parameters.keys()
    left_out = known - LLMOptions.__annotations__.keys()
    assert left_out == {"model", "client", "limit", "sleep", "clock", "rng", "options"}


def test_unknown_ones_are_refused_with_the_nearest_names() -> None:
    with pytest.raises(ConfigurationError, match=r"got max_retry=\. Did you mean max_retries="):
        elicitor_for("gpt-4o", {"max_retry": 3})
