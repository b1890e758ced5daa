"""The language-model side: what is asked, how it is asked, and how the answer becomes usable.

One elicitation: study → `StudyContext` → `render_prompt` → `LLMClient` → `validate_answer` → `Elicitation`. Nothing
here knows torch or densities; LiteLLM is imported when a model is asked, not before.
"""

from __future__ import annotations

from llm_prior_bo.elicitation.choices import choice_texts, match_choice
from llm_prior_bo.elicitation.client import Completion, CompletionError, FunctionClient, LiteLLMClient, LLMClient
from llm_prior_bo.elicitation.context import StudyContext, TrialSummary
from llm_prior_bo.elicitation.elicitor import (
    Elicitation,
    Elicitor,
    FixedElicitor,
    LLMElicitor,
    UnansweredError,
    Usage,
)
from llm_prior_bo.elicitation.parsing import parse_answer
from llm_prior_bo.elicitation.prompt import PROMPT_VERSION, Message, Messages, prompt_hash, render_prompt
from llm_prior_bo.elicitation.repair import check_fit, validate_answer
from llm_prior_bo.elicitation.replay import Exchange, RecordingElicitor, ReplayElicitor
from llm_prior_bo.elicitation.schema import (
    CategoricalBelief,
    Correlation,
    NumericBelief,
    PriorAnswer,
    Region,
    portable_schema,
)

__all__ = [
    "PROMPT_VERSION",
    "CategoricalBelief",
    "Completion",
    "CompletionError",
    "Correlation",
    "Elicitation",
    "Elicitor",
    "Exchange",
    "FixedElicitor",
    "FunctionClient",
    "LLMClient",
    "LLMElicitor",
    "LiteLLMClient",
    "Message",
    "Messages",
    "NumericBelief",
    "PriorAnswer",
    "RecordingElicitor",
    "Region",
    "ReplayElicitor",
    "StudyContext",
    "TrialSummary",
    "UnansweredError",
    "Usage",
    "check_fit",
    "choice_texts",
    "match_choice",
    "parse_answer",
    "portable_schema",
    "prompt_hash",
    "render_prompt",
    "validate_answer",
]
