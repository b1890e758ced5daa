"""The messages of a chat."""

from __future__ import annotations

from typing import TypeAlias

Message: TypeAlias = dict[str, str]
"""One message of a chat: `{"role": ..., "content": ...}`. Never changed once made."""

Messages: TypeAlias = tuple[Message, ...]
"""A chat, oldest message first."""
