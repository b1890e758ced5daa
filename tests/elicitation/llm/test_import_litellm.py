"""The first import of LiteLLM leaves the process as it was, and is no part of a request's time."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from llm_prior_bo.elicitation import Completion, LLMElicitor, Messages, StudyContext
from tests.scripts import run_python


def test_the_process_stays_as_it_was() -> None:
    printed = run_python("""
        import json, logging, os, random, sys, threading, warnings
        for name in [name for name in os.environ if name.startswith("LITELLM_")]:
            del os.environ[name]
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"
        logging.basicConfig(level=logging.WARNING)
        logging.getLogger("httpx").setLevel(logging.DEBUG)
        warnings.filterwarnings("ignore", "something")
        random.seed(4)
        import numpy as np
        np.random.seed(4)

        def state():
            return {
                "random": repr(random.getstate()),
                "numpy": repr(np.random.get_state()),
                "filters": repr(warnings.filters),
                "showwarning": repr(warnings.showwarning),
                "environment": sorted(os.environ.items()),
                "handlers": repr(logging.getLogger().handlers),
                "levels": [logging.getLogger(name).level for name in (None, "httpx")],
                "threads": len(threading.enumerate()),
                "hook": repr(sys.excepthook),
            }

        from llm_prior_bo.elicitation.llm.import_litellm import import_litellm

        before = state()  # importing BoTorch, which the package does at once, has its own effects
        assert "litellm" not in sys.modules
        litellm = import_litellm()
        assert import_litellm() is litellm and litellm.completion
        after = state()
        print(json.dumps({name: before[name] == after[name] for name in before if name != "threads"}))
    """)
    same = json.loads(printed)
    assert same == dict.fromkeys(same, True)
    assert len(same) == 8


def test_several_threads_import_it_once_and_leave_no_variable() -> None:
    printed = run_python("""
        import json, os, threading
        for name in [name for name in os.environ if name.startswith("LITELLM_")]:
            del os.environ[name]
        from llm_prior_bo.elicitation.llm.import_litellm import import_litellm
        threads = [threading.Thread(target=import_litellm) for _ in range(4)]
        [thread.start() for thread in threads], [thread.join() for thread in threads]
        print(json.dumps([name for name in os.environ if name.startswith("LITELLM_")]))
    """)
    assert json.loads(printed) == []


class Slow:
    """A client that imports for an hour, by a clock that stands still otherwise."""

    def __init__(self, error: Exception | None = None) -> None:
        self.now = 0.0
        self.error = error

    def prepare(self) -> None:
        self.now += 3600.0
        if self.error:
            raise self.error

    def complete(self, messages: Messages, schema: Mapping[str, Any]) -> Completion:  # noqa: ARG002
        return Completion('{"numeric": [{"parameter": "dropout", "best": 0.2, "low": 0.1, "high": 0.3}]}')


@pytest.mark.parametrize("error", [None, ImportError("gone")])
def test_it_does_not_count_as_latency(
    context: StudyContext, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    client = Slow(error)
    monkeypatch.setattr(time, "perf_counter", lambda: client.now)
    elicitation = LLMElicitor(client=client).elicit(context)
    assert (client.now, elicitation.latency_s) == (3600.0, 0.0)
