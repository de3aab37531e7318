"""A real PostgreSQL for tests, from the binaries of the system, in a folder of its own and behind a Unix socket."""

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

ROOTS = (Path("/usr/lib/postgresql"), Path("/usr/local/lib/postgresql"), Path("/opt/homebrew/opt"))


def binaries() -> Path | None:
    """The folder with `initdb` and `pg_ctl` of the newest installed version; None where they cannot be used."""
    if os.geteuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        return None
    found = [path.parent for root in ROOTS for path in root.glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    found += [Path(on_path).resolve().parent] if on_path else []
    return max(found, key=lambda folder: [int(n) for n in folder.parent.name.split(".") if n.isdigit()], default=None)


def memory_folder() -> str | None:
    """A folder in memory, if there is one with room: a server for tests need not survive them."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 2 << 30 else None


class PostgresServer:
    """A server that listens on a socket only; PostgreSQL refuses to run as root, so root lends it another user."""

    def __init__(self, bin_folder: Path, *, durable: bool = False) -> None:
        self.bin = bin_folder
        self.user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        self.folder = Path(tempfile.mkdtemp(prefix="salon-pg-", dir=None if durable else memory_folder()))
        self.folder.chmod(0o755)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        sync = [] if durable else ["--no-sync"]
        self._run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", *sync)
        self.options = f"-k {self.folder} -c listen_addresses= -c fsync={'on' if durable else 'off'}"
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", self.options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def new_database(self) -> str:
        """The URL of a fresh, empty database."""
        name = f"salon_{uuid.uuid4().hex[:12]}"
        self._run("createdb", "-h", self.folder, "-U", "postgres", name)
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def close(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *words: object) -> None:
        command = [str(self.bin / program), *map(str, words)]
        lent = {"user": self.user, "group": self.user, "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, check=False, **lent
        )
        assert done.returncode == 0, done.stderr.decode()
