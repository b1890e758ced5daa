"""`python -m llm_prior_bo.cli`, for where scripts are not on the path."""

from __future__ import annotations

from llm_prior_bo.cli import main

if __name__ == "__main__":
    main()
