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
is 127.0.0.1 and a port. The master user is a superuser (`rds_superuser` in AWS is less). The
servers offer TLS; --authority-file gets the certificate of the authority that they are signed by,
as RDS publishes its own.

moto has no past and follows no replication rules. additions.py lets a test ask for both.

A point-in-time restore to the latest time is a backup of that moment, restored. Not simulated, and
refused: restores to an earlier time, and read replicas, of these instances. Aurora clusters and
other engines stay as moto has them, without a database: a cluster is available at the first look
and its instances at once, a cluster snapshot is not restored by its ARN, a copy of one names no
source, and the latest restorable time is the present. So are read replicas of other engines: there
at once, promoted at once and without an event, named by their source ever after, and to promote
what is none of them is no error. That they name no source afterwards is added here.

The server must be moto 5.2.5: the classes here extend its internals. All files are under --root,
and everything has stopped when the program ends, on SIGTERM or SIGINT. PostgreSQL refuses to run
as root, so that root runs it as the user `postgres`, who must be able to reach --root.

    moto_with_postgres.py --root FOLDER --postgres-bin FOLDER [--port PORT] [--address-file FILE]
                          [--authority-file FILE]
"""

import argparse
import base64
import hashlib
import logging
import os
import shutil
import signal
import threading
import time
from concurrent.futures import Future
from pathlib import Path

# Otherwise moto lists 1302 snapshots of other people's machine images as our own.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

from additions import age_of, extend_others, permits  # noqa: E402
from moto.core.responses import ActionResult  # noqa: E402
from moto.core.utils import utcnow  # noqa: E402
from moto.moto_server.werkzeug_app import (  # noqa: E402
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.rds import models  # noqa: E402
from moto.rds.exceptions import RDSClientError  # noqa: E402
from moto.rds.responses import RDSResponse  # noqa: E402
from postgres_servers import PostgresHost, PostgresServer  # noqa: E402
from rpc_v2_cbor import speaking_cbor  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

log = logging.getLogger("moto_with_postgres")

HOST: PostgresHost  # set by main, before the first request

# moto is not made for threads: a list that another request changes ends in the middle of a
# deletion, which leaves half of what was to be deleted. The work in the background goes on.
ONE_AT_A_TIME = threading.RLock()


def one_at_a_time(application):
    """The same application, with one request after the other."""

    def answer(environ, start_response):
        with ONE_AT_A_TIME:
            return application(environ, start_response)

    return answer


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
        # AWS always says it; moto forgets it when a request says false, or nothing.
        self.publicly_accessible = bool(self.publicly_accessible)
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
        if age := age_of({tag["Key"]: tag["Value"] for tag in self.tags}):
            self.created -= age
            self.original_snapshot_create_time -= age
        if source.data is None:
            return
        self._begin()
        self.snapshot_database_time = source.snapshot_database_time
        if age and self.snapshot_database_time:
            self.snapshot_database_time -= age
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


class AutomatedBackup(models.DBInstanceAutomatedBackup):
    """As RDS describes them: moto tells name and status only."""

    @property
    def instance(self):
        return self.backend.databases.get(self.db_instance_identifier)

    def __getattr__(self, name):
        """The rest is the instance's."""
        told = ("dbi_resource_id", "db_instance_arn", "engine", "engine_version", "port",
                "backup_retention_period", "kms_key_id", "storage_type", "allocated_storage")
        if name in told and self.instance:
            return getattr(self.instance, name)
        raise AttributeError(name)

    @property
    def encrypted(self):
        return self.instance and bool(self.instance.storage_encrypted)

    @property
    def restore_window(self):
        """Until now, where RDS would say up to five minutes ago."""
        if self.instance is None:
            return None
        now = utcnow().replace(microsecond=0)
        return {"EarliestTime": min(self.instance.created, now), "LatestTime": now}


def must_lie_within(window, overrides) -> None:
    """moto takes any time, and both ways of naming one."""
    wanted = overrides.get("RestoreTime")
    if bool(wanted) == bool(overrides.get("UseLatestRestorableTime")):
        raise RDSClientError("InvalidParameterCombination", "Name one time, or the latest.")
    if wanted:
        wanted = wanted.replace(tzinfo=None)
        if not window["EarliestTime"].replace(tzinfo=None) <= wanted <= window["LatestTime"].replace(tzinfo=None):
            raise RDSClientError("InvalidParameterValue", "The time lies outside of the window.")


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

    def get_db_snapshot(self, identifier):
        """Also one of another region, or of an account that shares it; moto knows its own only."""
        if not identifier.startswith("arn:"):
            return super().get_db_snapshot(identifier)
        region, owner = identifier.split(":")[3:5]
        if (owner, region) == (self.account_id, self.region_name):
            return super().get_db_snapshot(identifier)
        snapshot = models.rds_backends[owner][region].get_db_snapshot(identifier)
        if owner != self.account_id and not permits(snapshot, self.account_id):
            raise models.DBSnapshotNotFoundFault(identifier)
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
        instance = super().restore_db_instance_from_db_snapshot(from_snapshot_id, overrides)
        # A snapshot does not remember them; moto takes those of the source unless told `true`.
        instance.multi_az = bool(overrides.get("multi_az"))
        instance.deletion_protection = bool(overrides.get("deletion_protection"))
        return instance

    def restore_db_instance_to_point_in_time(self, source_db_identifier, target, overrides):
        if source := self.databases.get(source_db_identifier):
            window = AutomatedBackup(self, source_db_identifier, []).restore_window
            must_lie_within(window, overrides)
        if self._server_of(source_db_identifier):
            if not overrides.get("UseLatestRestorableTime"):
                raise RDSClientError("InvalidAction", "Only the latest time is simulated.")
            snapshot = self.create_db_snapshot(
                source_db_identifier, f"rds:{target}", snapshot_type="automated"
            )
            # The instance's server works in the order of what it was told.
            source.server.later(lambda: None).result(timeout=60)
            snapshot.must_be_available()
            source.become("available", after=("backing-up",))
            overrides["restored_from"] = snapshot
        instance = super().restore_db_instance_to_point_in_time(
            source_db_identifier, target, overrides
        )
        # moto takes it for a replica of its source.
        instance.source_db_instance_identifier = None
        # RDS does not take them over from the source; moto does unless told `true`.
        instance.multi_az = bool(overrides.get("multi_az"))
        instance.deletion_protection = bool(overrides.get("deletion_protection"))
        return instance

    def describe_db_instance_automated_backups(self, *args, **kwargs):
        backups = super().describe_db_instance_automated_backups(*args, **kwargs)
        return [
            AutomatedBackup(self, backup.db_instance_identifier, backup.automated_snapshots)
            for backup in backups
        ]

    def create_db_instance_read_replica(self, db_kwargs):
        if getattr(self.find_db_from_id(db_kwargs["source_db_instance_identifier"]), "server", 0):
            raise RDSClientError("InvalidAction", "Read replicas are not simulated.")
        return super().create_db_instance_read_replica(db_kwargs)

    def promote_read_replica(self, db_kwargs):
        """As in AWS, what was promoted names no source any more. moto leaves it there for ever."""
        promoted = super().promote_read_replica(db_kwargs)
        promoted.source_db_instance_identifier = None
        return promoted

    def modify_db_instance(self, db_instance_identifier, db_kwargs):
        server = self._server_of(db_instance_identifier)
        instance = super().modify_db_instance(db_instance_identifier, db_kwargs)
        password = db_kwargs.get("master_user_password")
        if server and password:
            statement = "ALTER ROLE :\"role\" PASSWORD :'password'"
            change = server.later(
                lambda: server.sql(statement, role=server.user, password=password)
            )
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
        # A member of a cluster is of a class of moto's own, and has none.
        if getattr(instance, "server", None):
            # moto has forgotten it by now; in AWS it is seen `deleting` until it is gone.
            self.databases[db_instance_identifier] = instance
            instance.server.later(self._remove, db_instance_identifier, instance.server)
        return instance

    def _remove(self, db_instance_identifier: str, server: PostgresServer) -> None:
        server.remove()
        with ONE_AT_A_TIME:
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
    extend_others()
    PostgresInstance.default_engine_versions["postgres"] = HOST.version
    models.DBInstance = PostgresInstance
    models.DBSnapshot = PostgresSnapshot
    models.rds_backends.backend = PostgresBackend
    RDSResponse.describe_db_engine_versions = describe_db_engine_versions


def describe_db_engine_versions(self) -> ActionResult:
    """moto does not know it: every version that is asked for by name is offered."""
    engine, version = self.params.get("Engine"), self.params.get("EngineVersion")
    versions = []
    if engine and version:
        versions = [{"Engine": engine, "EngineVersion": version, "Status": "available"}]
    return ActionResult({"DBEngineVersions": versions})


def serve(port: int, address_file: Path | None) -> None:
    """Serves on loopback until SIGTERM or SIGINT."""
    application = speaking_cbor(one_at_a_time(DomainDispatcherApplication(create_backend_app)))
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
    parser.add_argument("--authority-file", type=Path, help="gets the authority's certificate")
    parser.add_argument("--address-file", type=Path, help="gets the address, once it is served")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    HOST = PostgresHost(arguments.root, arguments.postgres_bin)
    if arguments.authority_file:
        arguments.authority_file.write_text(HOST.authority)
    extend_moto()
    try:
        serve(arguments.port, arguments.address_file)
    finally:
        HOST.close()


if __name__ == "__main__":
    main()
