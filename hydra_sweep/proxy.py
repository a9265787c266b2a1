"""`python -m hydra_sweep.proxy URL`: one server in front of a database, for hundreds of workers with storage=grpc://HOST:PORT.

It asks nobody for a password and encrypts nothing, so it listens on this machine alone unless --host says otherwise.
"""

from __future__ import annotations

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from optuna.exceptions import ExperimentalWarning
from optuna.storages import run_grpc_proxy_server

from hydra_sweep import streams
from hydra_sweep.commands import Parser, command
from hydra_sweep.errors import UserError
from hydra_sweep.storage import open_storage, problems


def run(program: str) -> int:
    """Serves a database until Ctrl-C and returns the exit status."""
    parser = Parser(program, description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("url", help="postgresql://user@host/database; the password in PGPASSWORD or ~/.pgpass")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=13000, help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=32, help="requests at once (default: %(default)s)")
    args = parser.parse_args()
    with suppress(KeyboardInterrupt):
        serve(args.url, args.host, args.port, args.threads)
    return 0


@command("hydra_sweep.proxy")
def main() -> int:
    return run("hydra_sweep.proxy")


def serve(url: str, host: str, port: int, threads: int) -> None:
    """Serves until it is killed.

    Raises:
        UserError: there is no such database, or the port is taken.
    """
    if found := [*problems(url)]:
        raise UserError(found[0])
    if url.startswith(("redis", "grpc")):
        raise UserError(f"{url}: a proxy needs a database behind it; try postgresql://user@host/database")
    storage = open_storage(url, seconds=60)  # with Optuna's cache, without which a trial costs a second
    streams.keep_going()
    print(f"storage=grpc://{host}:{port}", flush=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            run_grpc_proxy_server(storage, host=host, port=port, thread_pool=ThreadPoolExecutor(threads))
        except RuntimeError as error:  # grpc's word for an address that can't be had
            raise UserError(f"cannot listen on {host}:{port}; try another --port") from error
        except ImportError as error:
            raise UserError("the proxy needs two packages: type pip install grpcio protobuf") from error


if __name__ == "__main__":
    sys.exit(main())
