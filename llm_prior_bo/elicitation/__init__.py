"""The language-model side: what is asked, how it is asked, and how the answer becomes usable.

One elicitation: study → `StudyContext` → `render_prompt` → `LLMClient` → `validate_answer` → `Elicitation`. Nothing
here knows torch or densities; LiteLLM is imported when a model is asked, not before.
"""

from __future__ import annotations

from llm_prior_bo.elicitation.answer.choices import choice_texts, match_choice
from llm_prior_bo.elicitation.answer.names import check_fit
from llm_prior_bo.elicitation.answer.parsing import parse_answer
from llm_prior_bo.elicitation.answer.repair import validate_answer
from llm_prior_bo.elicitation.answer.schema import (
    CategoricalBelief,
    Correlation,
    NumericBelief,
    PriorAnswer,
    Region,
    portable_schema,
)
from llm_prior_bo.elicitation.answer_file import load_answer, save_answer
from llm_prior_bo.elicitation.blinding import BlindedElicitor, Blinding, blind
from llm_prior_bo.elicitation.elicitor import BudgetedElicitor, Elicitor
from llm_prior_bo.elicitation.fixed import FixedElicitor
from llm_prior_bo.elicitation.llm.client import (
    Completion,
    CompletionError,
    FunctionClient,
    LenientClient,
    LLMClient,
)
from llm_prior_bo.elicitation.llm.litellm_client import LiteLLMClient
from llm_prior_bo.elicitation.llm.messages import Message, Messages
from llm_prior_bo.elicitation.llm.secrets import printable
from llm_prior_bo.elicitation.llm.spending import SpendingError, SpendingLimit, Usage
from llm_prior_bo.elicitation.llm_elicitor import LLMElicitor, UnansweredError
from llm_prior_bo.elicitation.options import LLMOptions
from llm_prior_bo.elicitation.prompt.context import StudyContext, TrialSummary
from llm_prior_bo.elicitation.prompt.insights import NumericQuantiles, RegionReport, StudyInsights
from llm_prior_bo.elicitation.prompt.render import (
    PROMPT_VERSION,
    prompt_hash,
    render_prompt,
    shown_context,
)
from llm_prior_bo.elicitation.record import Elicitation
from llm_prior_bo.elicitation.replay import Exchange, RecordingElicitor, ReplayElicitor
from llm_prior_bo.elicitation.settings import ElicitationSettings, settings_of

__all__ = [
    "PROMPT_VERSION",
    "BlindedElicitor",
    "Blinding",
    "BudgetedElicitor",
    "CategoricalBelief",
    "Completion",
    "CompletionError",
    "Correlation",
    "Elicitation",
    "ElicitationSettings",
    "Elicitor",
    "Exchange",
    "FixedElicitor",
    "FunctionClient",
    "LLMClient",
    "LLMElicitor",
    "LLMOptions",
    "LenientClient",
    "LiteLLMClient",
    "Message",
    "Messages",
    "NumericBelief",
    "NumericQuantiles",
    "PriorAnswer",
    "RecordingElicitor",
    "Region",
    "RegionReport",
    "ReplayElicitor",
    "SpendingError",
    "SpendingLimit",
    "StudyContext",
    "StudyInsights",
    "TrialSummary",
    "UnansweredError",
    "Usage",
    "blind",
    "check_fit",
    "choice_texts",
    "load_answer",
    "match_choice",
    "parse_answer",
    "portable_schema",
    "printable",
    "prompt_hash",
    "render_prompt",
    "save_answer",
    "settings_of",
    "shown_context",
    "validate_answer",
]
