"""A model on your own machine: any server that speaks OpenAI's protocol.

    python examples/local_server.py                                                      # starts a tiny server itself
    python examples/local_server.py --api-base http://localhost:8000/v1 --model openai/NAME    # asks yours

The one line that matters is the sampler's: `LLMPriorSampler("openai/NAME", api_base=..., api_key="unused")`. It works
with whatever serves `/v1/chat/completions`:

    vLLM         vllm serve NAME                   http://localhost:8000/v1
    llama.cpp    llama-server -m FILE.gguf         http://localhost:8080/v1
    Ollama       ollama serve                      http://localhost:11434/v1
    LM Studio    its server, switched on           http://localhost:1234/v1

The server of this example takes a real HTTP request, and answers it with what a language model once replied to the
same question.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import optuna
from breast_cancer import describe, objective, search_space

from llm_prior_bo import LLMPriorSampler, answers_of, study_statistics

RECORDED_ANSWER = Path(__file__).parent / "answers" / "boosted_trees.json"


def local_model(name: str, api_base: str) -> LLMPriorSampler:
    """A sampler that asks a server at that address; local models are slow, so it waits for up to five minutes."""
    return LLMPriorSampler(
        name, api_base=api_base, api_key="unused", timeout=300, refresh=None, search_space=search_space(), seed=0
    )


# ---- A server that knows one answer


class OneAnswer(BaseHTTPRequestHandler):
    """Replies to every chat completion with the recorded text."""

    def do_POST(self) -> None:
        """One request."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(f"  POST {self.path}: model {request['model']!r}, {len(request['messages'])} messages")
        text = json.loads(RECORDED_ANSWER.read_text(encoding="utf-8"))["completions"][0]
        body = json.dumps(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": request["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
                "usage": {"prompt_tokens": 1200, "completion_tokens": 900, "total_tokens": 2100},
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing beside what `do_POST` prints."""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Serve on a free port of this machine; gives the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), OneAnswer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# ---- The study


def tune(sampler: LLMPriorSampler, *, n_trials: int) -> optuna.Study:
    """First a look at what is missing, which asks nobody; then a study as always."""
    study = optuna.create_study(direction="minimize", sampler=sampler)
    describe(study)
    print(sampler.check(study))
    study.optimize(objective, n_trials=n_trials)
    print(*answers_of(study), sep="\n")
    print(f"\n{study_statistics(study)}\n\nBest log loss {study.best_value:.4f} with {study.best_params}")
    return study


def main(arguments: Sequence[str] | None = None) -> optuna.Study:
    """Ask the server that is named, else one that is started for the purpose."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api-base", help="address of a server, with its /v1")
    parser.add_argument("--model", default="openai/local", help="openai/ and the name that the server knows")
    parser.add_argument("--trials", type=int, default=15)
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with contextlib.nullcontext(options.api_base) if options.api_base else serving() as api_base:
        return tune(local_model(options.model, api_base), n_trials=options.trials)


if __name__ == "__main__":
    main()
