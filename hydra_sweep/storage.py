"""Where a study is kept: SQLite in the sweep's folder, or a server that many hosts reach. Each waits while it is away.

A URL never holds a password: it would be written into every record. Servers' own variables do (PGPASSWORD and
~/.pgpass, MYSQL_PWD, REDISCLI_AUTH), on every host that has a worker.
"""

from __future__ import annotations

import errno
import functools
import os
import sqlite3
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, GrpcStorageProxy, RDBStorage
from optuna.storages.journal import JournalRedisBackend, JournalStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError

from hydra_sweep.errors import UserError
from hydra_sweep.optuna_compat import STORAGE_CALLS, Database
from hydra_sweep.records import LEASE, PAUSE
from hydra_sweep.sweep_folder import SQLITE

PASSWORDS = {"postgresql": "PGPASSWORD", "mysql": "MYSQL_PWD", "redis": "REDISCLI_AUTH", "rediss": "REDISCLI_AUTH"}
# Of libpq, without which a host that is cut off would be waited for for ever; s, and of the last one ms.
PATIENCE = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
PATIENCE["tcp_user_timeout"] = 60_000
PACKAGES = {"postgresql": "'psycopg[binary]'", "redis": "redis", "rediss": "redis", "grpc": "grpcio protobuf"}
Storage = TypeVar("Storage", bound=BaseStorage)
T = TypeVar("T")


class SweepDatabase(Database):
    """What becomes of a trial that waits begins with a claim, which leaves a lease, and with it what is to be done."""

    claims = LEASE, PAUSE


def absolute(url: str) -> str:
    """Returns a URL that means the same in every working directory: a task may run in its trial's folder."""
    return f"{SQLITE}{Path(url.removeprefix(SQLITE)).absolute()}" if url.startswith(SQLITE) else url


def problems(url: str) -> Iterator[str]:
    """Yields what is wrong with a URL, without opening it."""
    if url in ("sqlite://", f"{SQLITE}:memory:"):
        yield f"storage {url}: workers can't share a process's memory; leave it out, and the study is in its folder"
        return
    if url.startswith(SQLITE):
        return
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        yield f"storage {url!r} is no URL; try postgresql://user@host/database or redis://host:6379"
        return
    kind = parsed.get_backend_name()
    if parsed.password is not None or "password" in parsed.query:
        where = PASSWORDS.get(kind, "the environment")
        yield f"storage {hide_password(url)}: its password would be in every record; put it into {where} instead"


def open_storage(url: str, seconds: float, must_exist: bool = False) -> BaseStorage:
    """Returns Optuna's storage behind a URL.

    Args:
        url: `sqlite:///file`, `postgresql://user@host/database` (or another database that SQLAlchemy knows),
            `redis://host:port/number`, or `grpc://host:port` of a proxy (`python -m hydra_sweep.proxy`).
        seconds: how long each call is tried again while the server is away.
        must_exist: it has been opened before: if it can't be now, that is waited for, too, and no file is made anew.

    Raises:
        UserError: there is no such storage.
    """
    kind = url.partition(":")[0].partition("+")[0]
    opener = {"redis": _open_redis, "rediss": _open_redis, "grpc": _open_proxy}
    opener["sqlite"] = functools.partial(_open_sqlite, may_create=not must_exist)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            opened = _try(lambda: opener.get(kind, _open_database)(url, seconds), seconds if must_exist else 0.0)
            if isinstance(opened, RDBStorage):
                weakref.finalize(opened, opened.engine.dispose)  # or Python 3.13 warns of connections never closed
            return optuna.storages.get_storage(opened)
    except (ImportError, NoSuchModuleError) as error:
        hint = f"type pip install {PACKAGES[kind]}" if kind in PACKAGES else str(error)
        raise UserError(f"cannot open the storage {hide_password(url)}: {hint}") from error
    except (ValueError, StorageInternalError, SQLAlchemyError, sqlite3.Error, OSError) as error:
        lines = [line for line in str(error.__cause__ or error).splitlines() if line.strip()]
        raise UserError(f"cannot open the storage {hide_password(url)}: {lines[0] if lines else error}") from error


def _open_redis(url: str, seconds: float) -> BaseStorage:
    """Returns the journal in a Redis server, whose password is in the environment as redis-cli has it."""
    import redis

    secret = make_url(url).set(password=os.environ.get(PASSWORDS["redis"]))
    backend = JournalRedisBackend(secret.render_as_string(hide_password=False))
    try:
        return _patient(JournalStorage, seconds)(backend)
    except redis.RedisError as error:
        raise ConnectionError(str(error)) from error


def _open_proxy(url: str, seconds: float) -> BaseStorage:
    import grpc  # noqa: F401  - is missed here, and not at the first call

    address = make_url(url)
    return _patient(GrpcStorageProxy, seconds)(host=address.host or "localhost", port=address.port or 13000)


def _open_database(url: str, seconds: float) -> RDBStorage:
    """Returns a database server's storage. A worker has one connection, and a second one for its lease."""
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 1, "max_overflow": 2}
    if url.startswith("postgresql://"):
        url = url.replace("postgresql", "postgresql+psycopg", 1)
        options["connect_args"] = PATIENCE
    if "MYSQL_PWD" in os.environ and url.startswith("mysql"):
        options["connect_args"] = {"password": os.environ["MYSQL_PWD"]}

    def is_being_made(error: BaseException) -> bool:
        """Whether another process was making the tables of an empty database at the same moment."""
        return isinstance(error, SQLAlchemyError) and "already exists" in str(error)

    return _try(lambda: _patient(SweepDatabase, seconds)(url, engine_kwargs=options), 30.0, is_being_made)


def _open_sqlite(url: str, seconds: float, may_create: bool) -> RDBStorage:
    """Returns a storage in one file with a write-ahead log: eight times faster than as it comes, and as safe here.

    With synchronous=NORMAL a power cut may lose the last trials, but never harms the file.
    """
    path = Path(url.removeprefix(SQLITE)).absolute()
    if may_create:
        path.parent.mkdir(parents=True, exist_ok=True)
    with closing(_connect(path, may_create)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        if (found := connection.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"it is damaged: {found}")

    def connect() -> sqlite3.Connection:
        connection = _connect(path, may_create=False)
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    # Not by the URL, in which a folder's braces and question marks would mean something.
    return _patient(SweepDatabase, seconds)("sqlite:///study.db", engine_kwargs={"creator": connect})


def _connect(path: Path, may_create: bool) -> sqlite3.Connection:
    """Raises: FileNotFoundError rather than put an empty file in place of one that was deleted meanwhile."""
    if not may_create and not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    mode = "rwc" if may_create else "rw"
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=60, check_same_thread=False)


def hide_password(url: str) -> str:
    """Returns a URL that can be shown."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    user, at, host = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{':...' if ':' in user else ''}{at}{host}"


def _patient(kind: type[Storage], seconds: float) -> type[Storage]:
    """Returns a storage class whose calls wait for a server that is away, each for so many seconds at most."""

    def patient(call: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(call)(lambda *args, **kwargs: _try(lambda: call(*args, **kwargs), seconds))

    calls = {name: patient(getattr(kind, name)) for name in STORAGE_CALLS if hasattr(kind, name)}
    return type(kind.__name__, (kind,), calls)


def _try(call: Callable[[], T], seconds: float, may_help: Callable[[BaseException], bool] | None = None) -> T:
    """Returns what a call returns, tried again for so many seconds if that may help."""
    deadline, pause = time.monotonic() + seconds, 0.05
    while True:
        try:
            return call()
        except Exception as error:
            if not (may_help or _is_passing)(error) or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def _is_passing(error: BaseException) -> bool:
    """Whether trying again may help: the server restarts, the file is locked, the disk is full."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if "readonly database" in str(cause):
        return False
    return isinstance(cause, (OperationalError, InterfaceError, ConnectionError, TimeoutError)) or _is_servers(cause)


def _is_servers(error: BaseException | None) -> bool:
    """Whether it is an error of Redis's or gRPC's client."""
    return type(error).__module__.startswith(("redis.", "grpc.")) and "Error" in type(error).__name__


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turns what a storage raises, once its calls have been tried for long enough, into a line.

    Raises:
        UserError: the storage is away, full or read-only.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, (SQLAlchemyError, StorageInternalError)) and not _is_servers(error):
            raise
        cause = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0][:160]
        where = hide_password(url).removeprefix(SQLITE)
        raise UserError(f"can't use the study in {where}: {cause}; fix this and rerun") from error
