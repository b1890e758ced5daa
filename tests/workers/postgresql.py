"""A PostgreSQL server of one's own: on the loopback interface, in a temporary folder, gone afterwards."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.workers.places import free_port

USER = "postgres"


def missing() -> str | None:
    """Why there can be no server here; `None` if there can be one."""
    if _programs() is None:
        return "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
    if importlib.util.find_spec("psycopg2") is None:
        return "PostgreSQL's driver is not installed (pip install psycopg2-binary)"
    if os.getuid() == 0:
        try:
            pwd.getpwnam(USER)
        except KeyError:
            return f"PostgreSQL does not run as root, and there is no user {USER!r}"
    return None


class PostgreSQL:
    """A server with empty databases; a context manager."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self.port = free_port()
        self._n_databases = 0

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the first database; there is no password."""
        return self._url("postgres")

    def new_database(self) -> str:
        """Make an empty database; its URL."""
        self._n_databases += 1
        name = f"study_{self._n_databases}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, name)
        return self._url(name)

    def _url(self, database: str) -> str:
        # The driver is named: which one "postgresql://" stands for depends on the version of SQLAlchemy.
        return f"postgresql+psycopg2://{USER}@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> PostgreSQL:
        if os.getuid() == 0:
            shutil.chown(self._folder, USER)
        self._run("initdb", "-D", "data", "-U", USER, "--auth=trust", "--no-sync", "--locale=C", "-E", "UTF8")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self._folder} -F"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop the server; connections break."""
        self._run("pg_ctl", "-D", "data", "-w", "-m", "fast", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        folder = _programs()
        assert folder is not None
        as_user: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []} if os.getuid() == 0 else {}
        done = subprocess.run(
            [folder / program, *arguments],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # no pipe: the server would keep its other end open
            stderr=subprocess.DEVNULL,
            timeout=120,
            check=False,
            **as_user,
        )
        if done.returncode != 0:
            log = self._folder / "log"
            raise RuntimeError(f"{program} failed: {log.read_text() if log.exists() else 'no log'}")


def _programs() -> Path | None:
    """The folder of the server's programs, the newest version; Debian does not put it on the path."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)
