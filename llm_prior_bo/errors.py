"""Exceptions and warnings of the package.

Errors say what was expected, what came and what to do::

    LLMPriorError
    ├── SearchSpaceError (ValueError)          a space or a point of it is not usable
    ├── PriorError (ValueError)                a density is not well defined
    ├── AnswerError (ValueError)               an answer cannot be turned into a prior
    ├── ElicitationError (RuntimeError)        nobody could be asked, or no usable answer came
    ├── UnsupportedAcquisitionError (ValueError)   an acquisition function that is not in log space
    ├── ConfigurationError (ValueError)        arguments that contradict each other
    └── PersistenceError (RuntimeError)        a stored record cannot be read

    LLMPriorWarning (UserWarning)
    ├── ElicitationWarning                     the study goes on without an (up-to-date) answer
    ├── RepairedAnswerWarning                  an answer was usable only after repairs
    ├── SurrogateWarning                       the model could not be fitted; a fallback was used
    ├── SearchSpaceWarning                     the stated search space is not what the objective asks for
    └── IndependentSamplingWarning             a parameter is not suggested together with the others
"""

from __future__ import annotations


class LLMPriorError(Exception):
    """Base class of everything this package raises on purpose."""


class SearchSpaceError(LLMPriorError, ValueError):
    """A search space, or a point of it, is not usable."""


class PriorError(LLMPriorError, ValueError):
    """A density is not well defined."""


class AnswerError(LLMPriorError, ValueError):
    """An answer cannot be turned into a prior over this space."""


class ElicitationError(LLMPriorError, RuntimeError):
    """Nobody could be asked, or no usable answer came.

    Args:
        message: What happened and what to do.
        retryable: Whether asking once more may help (time-out, rate limit, malformed answer), as opposed to a
            missing key or an unknown model.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class UnsupportedAcquisitionError(LLMPriorError, ValueError):
    """An acquisition function whose values are not log values."""


class ConfigurationError(LLMPriorError, ValueError):
    """Arguments that are out of range or contradict each other."""


class PersistenceError(LLMPriorError, RuntimeError):
    """A record stored in a study cannot be read."""


class LLMPriorWarning(UserWarning):
    """Base class of the package's warnings."""


class ElicitationWarning(LLMPriorWarning):
    """The study goes on without an answer, or with an old one."""


class RepairedAnswerWarning(LLMPriorWarning):
    """An answer was usable only after repairs."""


class SurrogateWarning(LLMPriorWarning):
    """The surrogate could not be fitted; a fallback was used."""


class SearchSpaceWarning(LLMPriorWarning):
    """The stated search space is not what the objective asks for."""


class IndependentSamplingWarning(LLMPriorWarning):
    """A parameter is sampled on its own instead of together with the others."""
