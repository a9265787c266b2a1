"""Real servers for tests, on loopback, each in a folder of its own. Where one isn't installed, its tests skip."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SLURM = Path(__file__).parent / "slurm"
HOSTS = "10.77"  # the network of `two_hosts`


def need(*programs):
    """Returns where the programs are, or skips."""
    places = os.pathsep.join([os.environ["PATH"], "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    found = [shutil.which(program, path=places) for program in programs]
    for program, place in zip(programs, found, strict=True):
        if place is None:
            pytest.skip(f"{program} is not installed")
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(check, what, seconds=60):
    """Returns what the check finds, as soon as it finds something."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"{what} took more than {seconds} s"
        time.sleep(0.1)
    return found


def answers(port, address="127.0.0.1"):
    with suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


class Postgres:
    """A PostgreSQL server; root runs it as another user, as it insists.

    Args:
        folder: of its own, outside of pytest's, which no other user may enter.
    """

    def __init__(self, folder, address="127.0.0.1", password=None):
        initdb, self.pg_ctl = need("initdb", "pg_ctl")
        self.folder, self.port, self.address = folder, free_port(), address
        self.user = "postgres" if os.getuid() == 0 else getpass.getuser()
        if os.getuid() == 0:
            shutil.chown(folder, self.user)
        how = ["--auth=trust"]
        if password:
            (folder / "password").write_text(password)
            shutil.chown(folder / "password", self.user)
            how = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
        self.run(initdb, "-D", folder / "data", "-U", "rnnexp", "--no-sync", *how)
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.write(f"port={self.port}\nlisten_addresses='{address}'\nunix_socket_directories=''\n")
        with (folder / "data" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {HOSTS}.0.0/16 trust\n")
        self.url = f"postgresql://rnnexp@{address}:{self.port}/postgres"
        self.start()

    def run(self, *command):
        as_user = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        command = [*(as_user if os.getuid() == 0 else []), *map(str, command)]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)

    def start(self):
        log = self.folder / "data" / "server.log"
        try:
            self.run(self.pg_ctl, "-D", self.folder / "data", "-l", log, "-w", "start")
        except subprocess.CalledProcessError as error:
            raise RuntimeError(log.read_text()) from error

    def stop(self, how="fast"):
        self.run(self.pg_ctl, "-D", self.folder / "data", "-m", how, "-w", "stop")


@contextmanager
def postgres(**options):
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder), **options)
        try:
            yield server
        finally:
            with suppress(subprocess.CalledProcessError):
                server.stop("immediate")


@contextmanager
def listening(scheme, *command):
    """Yields the URL of a server that takes --port."""
    port = free_port()
    process = subprocess.Popen([*map(str, command), "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port), command[0])
        yield f"{scheme}://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def redis(folder):
    """Returns a server that keeps nothing, as a context manager of its URL."""
    (program,) = need("redis-server")
    folder.mkdir()
    return listening("redis", program, "--bind", "127.0.0.1", "--dir", folder, "--save", "")


def proxy(url):
    """Returns a proxy in front of a database, as a context manager of its URL."""
    return listening("grpc", sys.executable, "-m", "hydra_sweep.proxy", url)


RAY_ENV = os.environ | {"RAY_worker_niceness": "0"}  # by default other tests would keep its workers from working at all


@contextmanager
def ray():
    """Yields the address of a Ray cluster of one node."""
    program, port = shutil.which("ray", path=str(Path(sys.executable).parent)), free_port()
    words = f"start --head --block --port={port} --num-cpus=2 --include-dashboard=false --disable-usage-stats".split()
    env = RAY_ENV | {"RAY_AUTH_MODE": "disabled"}  # else it wants a token of its home folder's
    process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, env=env, start_new_session=True)
    try:
        wait_until(lambda: answers(port), "ray")
        yield f"127.0.0.1:{port}", env
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def slurm(folder):
    """Yields the environment in which a Slurm of one node answers."""
    need("slurmctld", "slurmd", "sbatch", "munged")
    if os.getuid() != 0:
        pytest.skip("slurmd needs root")
    up = subprocess.run([SLURM / "up.sh", folder], capture_output=True, text=True)
    assert up.returncode == 0, up.stderr
    try:
        yield os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{SLURM}{os.pathsep}{os.environ['PATH']}",
        }
    finally:
        subprocess.run([SLURM / "down.sh", folder], capture_output=True)


@contextmanager
def sftp(address, folder):
    """Yields a URL of this machine's files, and the home folder whose key opens it."""
    program, keygen = need("sshd", "ssh-keygen")
    if os.getuid() != 0:
        pytest.skip("sshd needs root")
    port, key = free_port(), folder / ".ssh" / "id_ed25519"
    key.parent.mkdir(parents=True)
    for file in (key, folder / "host"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    options = {"HostKey": folder / "host", "AuthorizedKeysFile": key.with_suffix(".pub"), "Port": port}
    options |= {"ListenAddress": address, "StrictModes": "no", "PidFile": "none", "Subsystem": "sftp internal-sftp"}
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    process = subprocess.Popen([program, "-D", "-f", folder / "sshd_config"])
    try:
        wait_until(lambda: answers(port, address), "sshd")
        yield f"sftp://{getpass.getuser()}@{address}:{port}", folder
    finally:
        process.terminate()
        process.wait()


@contextmanager
def two_hosts(folders):
    """Yields this machine's address and, for each of two hosts, the words that a command there begins with.

    A host has a network, a name, processes and a folder of its own; in the folder of the other it sees nothing.
    """
    need("ip", "unshare")
    if os.getuid() != 0:
        pytest.skip("a network namespace needs root")
    names = [f"rnnexp{os.getpid()}{letter}" for letter in "ab"]

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    address, hosts = f"{HOSTS}.0.1", []
    try:
        ip("addr", "add", f"{address}/32", "dev", "lo")
        for number, (name, other) in enumerate(zip(names, reversed(folders), strict=True), 1):
            here, there = f"{HOSTS}.{number}.1", f"{HOSTS}.{number}.2"
            ip("netns", "add", name)
            ip("link", "add", f"rnnexp{number}", "type", "veth", "peer", "name", "net0", "netns", name)
            ip("addr", "add", f"{here}/24", "dev", f"rnnexp{number}")
            ip("link", "set", f"rnnexp{number}", "up")
            ip("-n", name, "addr", "add", f"{there}/24", "dev", "net0")
            for device in ("lo", "net0"):
                ip("-n", name, "link", "set", device, "up")
            ip("-n", name, "route", "add", "default", "via", here)
            begin = f'hostname host{number} && mount -t tmpfs none "$0" && exec "$@"'
            own = ["unshare", "--uts", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child"]
            hosts.append(["ip", "netns", "exec", name, *own, "sh", "-c", begin, str(other)])
        yield address, hosts
    finally:
        for number, name in enumerate(names, 1):
            # By itself: the kernel ends a namespace, and with it the link, some time after `netns del` has returned.
            subprocess.run(["ip", "link", "del", f"rnnexp{number}"], capture_output=True)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "addr", "del", f"{address}/32", "dev", "lo"], capture_output=True)
