"""PostgreSQL servers on loopback, as many as asked for, for moto_with_postgres.py.

PostgresHost is where they run, PostgresServer is one of them. Nothing here knows about AWS.
"""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from authority import Authority

LONGEST_SOCKET_FOLDER = 80  # bytes; PostgreSQL adds "/.s.PGSQL.<port>", Linux allows 107 in all
START_SECONDS = 60
STOP_SECONDS = 20


class PostgresHost:
    """Where PostgreSQL runs: its programs, its user, the private folder, and all its servers."""

    def __init__(self, root: Path, programs: Path):
        self.root = root.resolve()
        self.programs = programs
        self.sockets = self.root / "sockets"
        self.servers: list[PostgresServer] = []
        self._numbers = iter(range(1, 1_000_000))
        self._ports: set[int] = set()
        self._lock = threading.Lock()
        self.owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if len(os.fsencode(self.sockets)) > LONGEST_SOCKET_FOLDER:
            raise SystemExit(f"the path of {self.root} is too long for a Unix socket")
        for folder in (self.root, self.sockets):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._give_to_owner(folder)
        self.version = self.run("postgres", "--version").split()[2]
        authority = Authority()
        self.authority = authority.certificate
        self.certificate, self.key = self.root / "server.pem", self.root / "server.key"
        for path, text in zip((self.certificate, self.key), authority.issue("127.0.0.1")):
            self.write_secret(path, text)

    def _give_to_owner(self, path: Path) -> None:
        if self.owner:
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    def new_folder(self, kind: str) -> Path:
        """A path that nobody uses yet; it does not exist."""
        with self._lock:
            return self.root / f"{kind}-{next(self._numbers):04}"

    def write_secret(self, path: Path, text: str) -> None:
        """Writes a file that only PostgreSQL's user may read."""
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
        self._give_to_owner(path)

    def free_port(self) -> int:
        """A loopback port that is free, and is not given out again.

        It lies below the ports that Linux gives to outgoing connections (32768 and up), one of
        which could otherwise take it before PostgreSQL listens.
        """
        with self._lock:
            for _ in range(1000):
                port = random.randrange(20_000, 32_000)
                with socket.socket() as probe:
                    if port not in self._ports and probe.connect_ex(("127.0.0.1", port)) != 0:
                        self._ports.add(port)
                        return port
        raise RuntimeError("no free port on loopback")

    def start(self, program: str, *arguments: object, **options) -> subprocess.Popen:
        """Starts one of PostgreSQL's programs (or a path), as PostgreSQL's user."""
        if self.owner:
            options.update(user=self.owner.pw_uid, group=self.owner.pw_gid, extra_groups=[])
        command = [str(self.programs / program), *map(str, arguments)]
        # A session of its own: ^C must reach this program alone, which then stops its servers.
        return subprocess.Popen(command, cwd=self.root, start_new_session=True, **options)

    def run(self, program: str, *arguments: object, text: str = "", **variables: str) -> str:
        """Runs such a program to its end, returns what it printed; an error holds what it said."""
        process = self.start(
            program,
            *arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **variables},
        )
        output, errors = process.communicate(text)
        if process.returncode != 0:
            raise RuntimeError(f"{program} ended with {process.returncode}: {errors.strip()}")
        return output

    def copy_folder(self, source: Path, target: Path) -> None:
        self.run("/bin/cp", "--archive", "--reflink=auto", source, target)

    def close(self) -> None:
        """Stops every server; what is being done comes to its end first."""
        servers = list(self.servers)
        for server in servers:
            server.cancel_work()
        for server in servers:
            server.stop()


class PostgresServer:
    """One PostgreSQL server. What it is told to do happens in order, in a thread of its own."""

    def __init__(self, host: PostgresHost, user: str):
        self.host = host
        self.user = user
        self.port = host.free_port()
        self.data = host.new_folder("instance")
        self._process: subprocess.Popen | None = None
        self._work = ThreadPoolExecutor(max_workers=1)
        host.servers.append(self)

    def later(self, work, *arguments) -> Future:
        return self._work.submit(work, *arguments)

    def cancel_work(self) -> None:
        """Waits for what is being done, and does nothing of what was to come."""
        self._work.shutdown(wait=True, cancel_futures=True)

    def create(self, password: str, database: str | None) -> None:
        password_file = self.data.with_suffix(".password")
        self.host.write_secret(password_file, password)
        self.host.run(
            "initdb",
            f"--pgdata={self.data}",
            f"--username={self.user}",
            f"--pwfile={password_file}",
            "--auth-local=trust",  # the socket lies in a private folder
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--wal-segsize=1",  # MiB instead of 16: little to copy
            "--no-sync",
        )
        password_file.unlink()
        self.start()
        if database and database != "postgres":
            self.sql('CREATE DATABASE :"name"', name=database)

    def create_from(self, backup: Path) -> None:
        self.host.copy_folder(backup, self.data)
        self.start()

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.host.sockets,
            "shared_buffers": "16MB",
            "ssl": "on",
            "ssl_cert_file": self.host.certificate,
            "ssl_key_file": self.host.key,
            "fsync": "off",  # nothing here needs to survive the machine
        }
        options = [word for item in settings.items() for word in ("-c", "=".join(map(str, item)))]
        with open(self.data.with_suffix(".log"), "ab") as output:
            self._process = self.host.start(
                "postgres",
                *("-D", self.data, "-p", self.port, *options),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {self._last_words()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            self.host.run("pg_isready", f"--host={self.host.sockets}", f"--port={self.port}")
        except RuntimeError:
            return False
        return True

    def _last_words(self) -> str:
        return self.data.with_suffix(".log").read_text(errors="replace")[-1000:]

    def sql(self, statement: str, **variables: str) -> None:
        """Runs one statement as the master user; `:"name"` and `:'name'` quote a variable."""
        # The values go through the environment: a command line can be read by everyone.
        lines = [f"\\getenv {name} VALUE_{name}" for name in variables]
        self.host.run(
            "psql",
            *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
            *(f"--host={self.host.sockets}", f"--port={self.port}"),
            *(f"--username={self.user}", "--dbname=postgres"),
            text="\n".join([*lines, statement, ""]),
            **{f"VALUE_{name}": value for name, value in variables.items()},
        )

    def back_up(self, target: Path) -> None:
        self.host.run(
            "pg_basebackup",
            *(f"--host={self.host.sockets}", f"--port={self.port}", f"--username={self.user}"),
            *(f"--pgdata={target}", "--wal-method=stream", "--checkpoint=fast", "--no-sync"),
        )

    def stop(self) -> None:
        """Returns when the server has ended; may be called again."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)  # "fast": open transactions are rolled back
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.with_suffix(".log").unlink(missing_ok=True)
        self.host.servers.remove(self)
        self._work.shutdown(wait=False)
