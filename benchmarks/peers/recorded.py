"""A client that replays recorded exchanges, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_prior_bo.elicitation import Completion, Messages, prompt_hash
from llm_prior_bo.elicitation.replay import read_exchanges
from llm_prior_bo.errors import ConfigurationError


class RecordedClient:
    """Replies to the very prompts of a recording; for methods that ask one question, before the first trial.

    `ReplayElicitor` does the same for the package's own question. An unrecorded prompt is an error and not a reply that
    failed to come: the method would go on as the plain sampler, and be measured as if it were itself.

    Args:
        path: A recording, as `write_exchanges` writes it.

    Raises:
        ConfigurationError: If the file is not a recording.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._exchanges = {exchange.prompt_hash: exchange for exchange in read_exchanges(path)}

    def complete(self, messages: Messages, schema: Mapping[str, Any]) -> Completion:  # noqa: ARG002 - the protocol's
        """The recorded text.

        Raises:
            ConfigurationError: If the prompt is not in the recording.
        """
        digest = prompt_hash(messages)
        if digest not in self._exchanges:
            raise ConfigurationError(
                f"Expected a recording of the prompt {digest} in {str(self._path)!r}, got {', '.join(self._exchanges)};"
                " the question has changed: record it again with benchmarks.record_peers."
            )
        exchange = self._exchanges[digest]
        return Completion(text=exchange.completions[0], model=exchange.model, cost_usd=0.0)
