"""The sampler of the package llm_prior_bo, and what its arguments are made of."""

from llm_prior_bo import (
    EvidenceTrust,
    FixedElicitor,
    LLMElicitor,
    LLMPriorSampler,
    PriorAnswer,
    RefreshPolicy,
    ReplayElicitor,
)

__all__ = [
    "EvidenceTrust",
    "FixedElicitor",
    "LLMElicitor",
    "LLMPriorSampler",
    "PriorAnswer",
    "RefreshPolicy",
    "ReplayElicitor",
]
