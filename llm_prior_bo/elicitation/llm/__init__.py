"""Talking to a language model: client, retries, limits, secrets."""
