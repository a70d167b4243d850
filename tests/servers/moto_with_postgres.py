"""Simulated AWS (moto) whose RDS instances for PostgreSQL are real PostgreSQL servers.

moto answers the AWS API but has no databases behind it: nothing could be read back from an
instance that it "restored". Here every instance of engine `postgres` has a server on loopback:

    CreateDBInstance                  initdb, start, first automated snapshot
    CreateDBSnapshot                  pg_basebackup
    CopyDBSnapshot                    a copy of the files, in the other region
    RestoreDBInstanceFromDBSnapshot   a copy of the snapshot's files, started on a port of its own
    ModifyDBInstance                  a new master password is set in the server
    Stop/StartDBInstance              stop, start
    DeleteDBInstance                  final snapshot if asked for, stop, remove the files

The work is done in the background, as in AWS: an instance is `creating`, then `backing-up`, then
`available`, and `deleting` until it is gone; a snapshot is `creating` until its files are there.
What fails ends as `failed` or `incompatible-restore`, and the reason is in the log. An endpoint
is 127.0.0.1 and a port. The master user is a superuser (`rds_superuser` in AWS is less).

Not simulated, and refused: point-in-time restores and read replicas of these instances. Aurora
clusters and other engines stay as moto has them, without a database.

The server must be moto 5.2.5: the classes here extend its internals. All files are under --root,
and everything has stopped when the program ends, on SIGTERM or SIGINT. PostgreSQL refuses to run
as root, so that root runs it as the user `postgres`, who must be able to reach --root.

    moto_with_postgres.py --root FOLDER --postgres-bin FOLDER [--port PORT] [--address-file FILE]
"""

import argparse
import base64
import hashlib
import logging
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

# Otherwise moto lists 1302 snapshots of other people's machine images as our own.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

from moto.core.utils import utcnow  # noqa: E402
from moto.moto_server.werkzeug_app import (  # noqa: E402
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.rds import models  # noqa: E402
from moto.rds.exceptions import RDSClientError  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

log = logging.getLogger("moto_with_postgres")

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
        """Runs such a program to its end and returns what it printed; an error says what it said."""
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


HOST: PostgresHost  # set by main, before the first request


def invalid_state(what: str) -> RDSClientError:
    return RDSClientError("InvalidDBInstanceState", what)


class PostgresInstance(models.DBInstance):
    """A DB instance, with a server behind it when its engine is `postgres`."""

    # moto registers its classes by the name of their module.
    __module__ = models.__name__
    # A slot and not an entry of __dict__: moto restores by passing on the whole __dict__.
    __slots__ = ("server",)

    default_engine_versions = dict(models.DBInstance.default_engine_versions)

    def __init__(self, backend, restored_from: "PostgresSnapshot | None" = None, **kwargs):
        self.server = None
        super().__init__(backend, **kwargs)
        unique = hashlib.sha256(f"{self.arn} {time.time_ns()}".encode()).digest()
        self.dbi_resource_id = "db-" + base64.b32encode(unique).decode()[:26]
        if self.engine != "postgres":
            return
        if restored_from is None and not (self.master_username and self._master_user_password):
            raise RDSClientError(
                "InvalidParameterValue", "MasterUsername and MasterUserPassword are needed"
            )
        self.status = "creating"
        self.server = PostgresServer(HOST, self.master_username)
        self.port = self.server.port
        if restored_from is None:
            self._bring_up("failed", self.server.create, self._master_user_password, self.db_name)
        else:
            self._bring_up("incompatible-restore", self.server.create_from, restored_from.data)

    @property
    def address(self) -> str:
        return "127.0.0.1" if self.server else super().address

    @property
    def endpoint(self):
        """Like in AWS there is none until the instance is up."""
        return None if self.server and self.status == "creating" else super().endpoint

    def _bring_up(self, if_it_fails: str, work, *arguments) -> None:
        """Has the server do `work`; when that fails, says why and takes the other status."""

        def attempt() -> None:
            try:
                work(*arguments)
            except Exception:
                log.exception("instance %s is %s", self.db_instance_identifier, if_it_fails)
                self.server.stop()
                self.become(if_it_fails, after=(self.status,))

        self.server.later(attempt)

    def become(self, status: str, after: tuple[str, ...]) -> None:
        """Takes the status if the present one is among `after`: nothing comes after `deleting`."""
        if self.status in after and self.status != "deleting":
            self.status = status

    def save_automated_backup(self) -> None:
        super().save_automated_backup()
        if self.server:
            # Waits in the same row as the backup, and so comes after it.
            self.server.later(self.become, "available", ("creating", "backing-up"))

    def stop(self) -> None:
        self.status = "stopping"
        self.server.later(self.server.stop)
        self.server.later(self.become, "stopped", ("stopping",))

    def start(self) -> None:
        self.status = "starting"
        self._bring_up("failed", self.server.start)
        self.server.later(self.become, "available", ("starting",))


class PostgresSnapshot(models.DBSnapshot):
    """A DB snapshot; `data` holds a physical backup when the instance had a server."""

    __module__ = models.__name__
    __slots__ = ("data",)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.data: Path | None = None
        self.snapshot_database_time = None
        self.percent_progress = 100
        self.availability_zone = self.database.availability_zone

    def take(self, instance: PostgresInstance) -> None:
        """Backs the instance up once its server has done what it was told before."""
        self._begin()
        instance.server.later(self._take, instance)

    def copy_from(self, source: "PostgresSnapshot") -> None:
        self.source_region = source.region
        self.source_db_snapshot_identifier = source.arn
        if source.data is None:
            return
        self._begin()
        self.snapshot_database_time = source.snapshot_database_time
        threading.Thread(target=self._fill, args=(HOST.copy_folder, source.data)).start()

    def _begin(self) -> None:
        self.status, self.percent_progress = "creating", 0
        self.data = HOST.new_folder("snapshot")

    def _take(self, instance: PostgresInstance) -> None:
        if self.snapshot_type == "automated":
            instance.become("backing-up", after=("creating", "available"))
        # All that was committed until now is in the backup. What is committed while it is taken
        # may be too, so that this time never promises too much.
        self.snapshot_database_time = utcnow()
        self._fill(instance.server.back_up)

    def _fill(self, fill, *arguments) -> None:
        try:
            fill(*arguments, self.data)
            self.status, self.percent_progress = "available", 100
        except Exception:
            log.exception("snapshot %s could not be taken", self.db_snapshot_identifier)
            self.status = "failed"

    def must_be_available(self) -> None:
        if self.status != "available":
            raise RDSClientError(
                "InvalidDBSnapshotState",
                f"Snapshot {self.db_snapshot_identifier} is {self.status}, not available.",
            )


class PostgresBackend(models.RDSBackend):
    """RDS of one account and region."""

    __module__ = models.__name__

    def _server_of(self, db_instance_identifier: str) -> PostgresServer | None:
        return getattr(self.databases.get(db_instance_identifier), "server", None)

    def create_db_snapshot(
        self, db_instance_identifier, db_snapshot_identifier, snapshot_type="manual", **kwargs
    ):
        instance = self.databases.get(db_instance_identifier)
        has_server = self._server_of(db_instance_identifier) is not None
        if has_server and snapshot_type == "manual" and instance.status != "available":
            raise invalid_state(f"Cannot create a snapshot: the instance is {instance.status}.")
        snapshot = super().create_db_snapshot(
            db_instance_identifier, db_snapshot_identifier, snapshot_type, **kwargs
        )
        if has_server:
            snapshot.take(instance)
        return snapshot

    def copy_db_snapshot(self, source_db_snapshot_identifier, *args, **kwargs):
        source = self.get_db_snapshot(source_db_snapshot_identifier)
        source.must_be_available()
        snapshot = super().copy_db_snapshot(source_db_snapshot_identifier, *args, **kwargs)
        snapshot.copy_from(source)
        return snapshot

    def delete_db_snapshot(self, db_snapshot_identifier):
        snapshot = super().delete_db_snapshot(db_snapshot_identifier)
        snapshot.status = "deleted"
        if snapshot.data:
            shutil.rmtree(snapshot.data, ignore_errors=True)
        return snapshot

    def restore_db_instance_from_db_snapshot(self, from_snapshot_id, overrides):
        snapshot = self.get_db_snapshot(from_snapshot_id)
        snapshot.must_be_available()
        if snapshot.data:
            overrides["restored_from"] = snapshot
        return super().restore_db_instance_from_db_snapshot(from_snapshot_id, overrides)

    def restore_db_instance_to_point_in_time(self, source_db_identifier, *args, **kwargs):
        if self._server_of(source_db_identifier):
            raise RDSClientError("InvalidAction", "Point-in-time restore is not simulated.")
        return super().restore_db_instance_to_point_in_time(source_db_identifier, *args, **kwargs)

    def create_db_instance_read_replica(self, db_kwargs):
        if getattr(self.find_db_from_id(db_kwargs["source_db_instance_identifier"]), "server", 0):
            raise RDSClientError("InvalidAction", "Read replicas are not simulated.")
        return super().create_db_instance_read_replica(db_kwargs)

    def modify_db_instance(self, db_instance_identifier, db_kwargs):
        server = self._server_of(db_instance_identifier)
        instance = super().modify_db_instance(db_instance_identifier, db_kwargs)
        password = db_kwargs.get("master_user_password")
        if server and password:
            statement = "ALTER ROLE :\"role\" PASSWORD :'password'"
            change = server.later(lambda: server.sql(statement, role=server.user, password=password))
            change.add_done_callback(lambda done: log_failure(done, "new master password"))
        return instance

    def stop_db_instance(self, db_instance_identifier, *args, **kwargs):
        instance = super().stop_db_instance(db_instance_identifier, *args, **kwargs)
        if instance.server:
            instance.stop()
        return instance

    def start_db_instance(self, db_instance_identifier):
        instance = super().start_db_instance(db_instance_identifier)
        if instance.server:
            instance.start()
        return instance

    def delete_db_instance(self, db_instance_identifier, *args, **kwargs):
        instance = self.databases.get(db_instance_identifier)
        if instance is not None and instance.status == "deleting":
            raise invalid_state(f"Instance {db_instance_identifier} is already being deleted.")
        instance = super().delete_db_instance(db_instance_identifier, *args, **kwargs)
        if instance.server:
            # moto has forgotten it by now; in AWS it is seen `deleting` until it is gone.
            self.databases[db_instance_identifier] = instance
            instance.server.later(self._remove, db_instance_identifier, instance.server)
        return instance

    def _remove(self, db_instance_identifier: str, server: PostgresServer) -> None:
        server.remove()
        self.databases.pop(db_instance_identifier, None)

    def get_shared_db_snapshots(self):
        return self.get_shared_snapshots(resource_type=models.DBSnapshot)

    def reset(self) -> None:
        """What `POST /moto-api/reset` does to this account and region."""
        for instance in self.databases.values():
            if getattr(instance, "server", None):
                instance.server.later(instance.server.remove)
        super().reset()


def log_failure(done: Future, what: str) -> None:
    if not done.cancelled() and done.exception():
        log.error("%s: %s", what, done.exception())


def extend_moto() -> None:
    PostgresInstance.default_engine_versions["postgres"] = HOST.version
    models.DBInstance = PostgresInstance
    models.DBSnapshot = PostgresSnapshot
    models.rds_backends.backend = PostgresBackend


def serve(port: int, address_file: Path | None) -> None:
    """Serves on loopback until SIGTERM or SIGINT."""
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(
        "127.0.0.1", port, application, threaded=True, request_handler=MotoRequestHandler
    )
    os.environ["MOTO_PORT"] = str(server.server_port)
    asked_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_end.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if address_file:
        # Whoever waits for the file must not read half of it.
        unfinished = address_file.with_name(address_file.name + ".unfinished")
        unfinished.write_text(f"http://127.0.0.1:{server.server_port}\n")
        unfinished.rename(address_file)
    # With a limit: a signal that another thread receives does not end an endless wait.
    while not asked_to_end.wait(0.5):
        pass
    server.shutdown()


def main() -> None:
    global HOST
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="private folder for all files")
    parser.add_argument("--postgres-bin", type=Path, required=True, help="where initdb is")
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    parser.add_argument("--address-file", type=Path, help="gets the address, once it is served")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    HOST = PostgresHost(arguments.root, arguments.postgres_bin)
    extend_moto()
    try:
        serve(arguments.port, arguments.address_file)
    finally:
        HOST.close()


if __name__ == "__main__":
    main()
