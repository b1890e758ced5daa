"""Bayesian optimisation with a language model's prior over where the optimum is, for Optuna and BoTorch.

Three ways in: `LLMPriorSampler` in any Optuna study, `prior_weighted` around any log-valued BoTorch acquisition
function, and a decay schedule that the user picks. Importing has no side effects, and LiteLLM is imported only when a
model is asked.
"""

from llm_prior_bo.acquisition.prior_weighted import prior_weighted
from llm_prior_bo.calibration.ledger import CalibrationLedger
from llm_prior_bo.compare import ComparisonResult, ComparisonTask, compare, read_comparison
from llm_prior_bo.decay import (
    BoundedLossDecay,
    ConstantDecay,
    DecaySchedule,
    ExponentialDecay,
    LinearDecay,
    PowerDecay,
)
from llm_prior_bo.elicitation import (
    CategoricalBelief,
    Correlation,
    Elicitation,
    Elicitor,
    FixedElicitor,
    LLMElicitor,
    NumericBelief,
    PriorAnswer,
    RecordingElicitor,
    Region,
    ReplayElicitor,
    StudyContext,
)
from llm_prior_bo.elicitation.answer_file import load_answer, save_answer
from llm_prior_bo.elicitation.blinding import BlindedElicitor
from llm_prior_bo.elicitation.llm.spending import SpendingLimit
from llm_prior_bo.optimization.explanation import Explanation, explain
from llm_prior_bo.optimization.refresh import RefreshPolicy
from llm_prior_bo.optimization.study_prior import prior_of
from llm_prior_bo.optimization.trust import Evidence, EvidenceTrust, TrustGate
from llm_prior_bo.priors import MixturePrior, OptimumPrior, UniformPrior, pool_priors
from llm_prior_bo.priors.build import build_prior
from llm_prior_bo.priors.from_configspace import prior_from_configspace
from llm_prior_bo.sampler import LLMPriorSampler
from llm_prior_bo.space import SearchSpace
from llm_prior_bo.study.diagnostics import StudyStatistics, answers_of, study_statistics
from llm_prior_bo.study.past_studies import prior_from_study
from llm_prior_bo.visualization.report import save_report

__version__ = "0.2.0"

__all__ = [
    "BlindedElicitor",
    "BoundedLossDecay",
    "CalibrationLedger",
    "CategoricalBelief",
    "ComparisonResult",
    "ComparisonTask",
    "ConstantDecay",
    "Correlation",
    "DecaySchedule",
    "Elicitation",
    "Elicitor",
    "Evidence",
    "EvidenceTrust",
    "Explanation",
    "ExponentialDecay",
    "FixedElicitor",
    "LLMElicitor",
    "LLMPriorSampler",
    "LinearDecay",
    "MixturePrior",
    "NumericBelief",
    "OptimumPrior",
    "PowerDecay",
    "PriorAnswer",
    "RecordingElicitor",
    "RefreshPolicy",
    "Region",
    "ReplayElicitor",
    "SearchSpace",
    "SpendingLimit",
    "StudyContext",
    "StudyStatistics",
    "TrustGate",
    "UniformPrior",
    "answers_of",
    "build_prior",
    "compare",
    "explain",
    "load_answer",
    "pool_priors",
    "prior_from_configspace",
    "prior_from_study",
    "prior_of",
    "prior_weighted",
    "read_comparison",
    "save_answer",
    "save_report",
    "study_statistics",
]
