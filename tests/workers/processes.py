"""How processes are made: forked from a server that has imported everything once, and has no threads."""

from __future__ import annotations

import multiprocessing

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.workers.worker"])
