"""The one place where LiteLLM is imported.

Inside functions: it takes four seconds and 170 MB, which only the worker that asks should pay. And so that the process
is left as it was: the import draws random numbers, changes the filters of warnings and the levels of other libraries'
loggers, and would download a table of prices.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from llm_prior_bo.elicitation.llm.client import CompletionError

_ONLY_LOCAL = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True"}
"""Read at the import: no downloads of prices and of header names."""

_importing = threading.RLock()
_prepared: set[int] = set()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    # A fork waits for an import in another thread: the child would have half a module for ever, and wait for the rest.
    os.register_at_fork(
        before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_importing.release
    )


def import_litellm() -> Any:
    """The module, imported at the first call.

    Raises:
        CompletionError: If it is not installed.
    """
    with _importing:  # of two threads, the second would take the state within the import for that before it
        litellm = sys.modules.get("litellm")
        if litellm is None or id(litellm) not in _prepared:
            litellm = _first_import()
            _prepared.add(id(litellm))
        return litellm


def new_handler(**options: Any) -> Any:
    """A new HTTP client of LiteLLM's kind, with its settings for certificates and proxies."""
    from litellm.llms.custom_httpx.http_handler import HTTPHandler

    return HTTPHandler(**options)


def _first_import() -> Any:
    is_new = "litellm" not in sys.modules
    with _process_as_it_was():
        try:
            import litellm
        except ImportError as error:
            problem = str(error)
        else:
            litellm.suppress_debug_info = True  # else it prints banners to standard output on every error
            with contextlib.suppress(Exception):  # read now, while the variable says to read the local list
                from litellm.anthropic_beta_headers_manager import get_unsupported_headers

                get_unsupported_headers("anthropic")
            if is_new:
                _warm_up(litellm)
            return litellm
    raise CompletionError(
        "Expected the package litellm to be installed; run `pip install 'litellm>=1.100'`, or pass client=... to "
        f"LLMElicitor. ({problem})"
    )


def _warm_up(litellm: Any) -> None:
    """A call that asks nobody: what LiteLLM builds at the first one takes time and gives warnings."""
    with contextlib.suppress(Exception):
        message = {"role": "user", "content": "?"}
        litellm.completion(model="openai/none", messages=[message], mock_response="!", api_key="none")


@contextlib.contextmanager
def _process_as_it_was() -> Iterator[None]:
    """Put back what an import changes: random state, warning filters, LiteLLM's variables, others' loggers."""
    random_state = random.getstate()
    variables = {name: value for name, value in os.environ.items() if name.startswith("LITELLM_")}
    loggers = {"": logging.getLogger(), **logging.root.manager.loggerDict}
    known = {
        name: (logger, logger.level, list(logger.handlers))
        for name, logger in loggers.items()
        if isinstance(logger, logging.Logger) and not name.startswith("LiteLLM")
    }
    for name, value in _ONLY_LOCAL.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        random.setstate(random_state)
        for name in [name for name in os.environ if name.startswith("LITELLM_")]:
            if name not in variables:
                del os.environ[name]
        os.environ.update(variables)
        for logger, level, handlers in known.values():
            logger.setLevel(level)
            logger.handlers[:] = handlers
