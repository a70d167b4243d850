"""Tries moto_with_postgres.py with boto3 and psql: what it promises at its top, and how it ends.

Starts a server of its own. Run it by hand after a change there or a new version of moto:

    PYTHON test_moto_with_postgres.py POSTGRES_BIN      (PYTHON: with requirements.txt installed)
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

PROGRAM = Path(__file__).with_name("moto_with_postgres.py")
POSTGRES_BIN = Path(sys.argv.pop(1) if len(sys.argv) > 1 else "/usr/lib/postgresql/15/bin")
PASSWORD = 'it\'s "quoted" $HOME \\n'
INSTANCE = {
    "DBInstanceClass": "db.t4g.micro",
    "Engine": "postgres",
    "AllocatedStorage": 20,
    "MasterUsername": "keeper",
    "MasterUserPassword": PASSWORD,
    "DBName": "orders",
}


def wait_for(what, limit_seconds=60):
    """Polls until `what` answers something true, and returns that."""
    deadline = time.monotonic() + limit_seconds
    while not (answer := what()):
        if time.monotonic() > deadline:
            raise TimeoutError("waited too long")
        time.sleep(0.05)
    return answer


def processes_below(folder: Path) -> list[str]:
    """The command lines of all processes that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


class Server:
    """moto_with_postgres.py in a temporary folder."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="redrill-"))
        self.folder.chmod(0o711)
        address_file = self.folder / "address"
        command = [sys.executable, PROGRAM, f"--root={self.folder / 'state'}"]
        command += [f"--postgres-bin={POSTGRES_BIN}", f"--address-file={address_file}"]
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_for(lambda: address_file.exists() or self.process.poll() is not None)
        self.address = address_file.read_text().strip()

    def rds(self, region="ap-northeast-1"):
        return self.client("rds", region)

    def client(self, service, region):
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.address,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def end(self, how=signal.SIGTERM) -> int:
        self.process.send_signal(how)
        code = self.process.wait(60)
        self.log.close()
        return code

    def remove(self):
        if self.process.poll() is None:
            self.end()
        shutil.rmtree(self.folder)


class WithServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.remove)
        cls.rds = cls.server.rds()

    def instance(self, name, rds=None):
        answer = (rds or self.rds).describe_db_instances(DBInstanceIdentifier=name)
        return answer["DBInstances"][0]

    def snapshot(self, name, rds=None):
        answer = (rds or self.rds).describe_db_snapshots(DBSnapshotIdentifier=name)
        return answer["DBSnapshots"][0]

    def follow(self, name, until="available", rds=None):
        """Waits for an instance's status; returns all that were seen on the way, and it."""
        seen = []

        def arrived():
            instance = self.instance(name, rds)
            if instance["DBInstanceStatus"] not in seen[-1:]:
                seen.append(instance["DBInstanceStatus"])
            return instance if seen[-1] == until else None

        instance = wait_for(arrived)
        return seen, instance

    def wait_for_snapshot(self, name, rds=None):
        def arrived():
            snapshot = self.snapshot(name, rds)
            self.assertIn(snapshot["Status"], ("creating", "available"))
            return snapshot if snapshot["Status"] == "available" else None

        return wait_for(arrived)

    def psql(self, instance, statement, password=PASSWORD):
        """Runs SQL through TCP, as the master user; returns (exit code, answer or error)."""
        endpoint = instance["Endpoint"]
        done = subprocess.run(
            [POSTGRES_BIN / "psql", "-X", "-At", "-h", endpoint["Address"]]
            + ["-p", str(endpoint["Port"]), "-U", "keeper", "-d", "orders", "-c", statement],
            env={**os.environ, "PGPASSWORD": password},
            capture_output=True,
            text=True,
        )
        return done.returncode, (done.stdout or done.stderr).strip()

    def code_of(self, operation, **arguments):
        with self.assertRaises(ClientError) as caught:
            operation(**arguments)
        return caught.exception.response["Error"]["Code"]


class RestoreDrill(WithServer):
    def test_rows_deleted_after_a_snapshot_come_back_with_the_restore(self):
        answer = self.rds.create_db_instance(DBInstanceIdentifier="orders", **INSTANCE)
        self.assertEqual(answer["DBInstance"]["DBInstanceStatus"], "creating")
        self.assertNotIn("Endpoint", answer["DBInstance"])
        seen, orders = self.follow("orders")
        self.assertEqual(seen, ["creating", "backing-up", "available"])
        self.assertEqual(orders["Endpoint"]["Address"], "127.0.0.1")
        automated = self.rds.describe_db_snapshots(SnapshotType="automated")["DBSnapshots"]
        self.assertEqual([s["Status"] for s in automated], ["available"])

        fill = "create table entry as select generate_series(1, 100000) as id"
        self.assertEqual(self.psql(orders, fill), (0, "SELECT 100000"))
        answer = self.rds.create_db_snapshot(
            DBInstanceIdentifier="orders", DBSnapshotIdentifier="before"
        )
        self.assertEqual(answer["DBSnapshot"]["Status"], "creating")
        self.assertEqual(answer["DBSnapshot"]["PercentProgress"], 0)
        self.assertEqual(
            self.code_of(
                self.rds.restore_db_instance_from_db_snapshot,
                DBInstanceIdentifier="early",
                DBSnapshotIdentifier="before",
            ),
            "InvalidDBSnapshotState",
        )
        before = self.wait_for_snapshot("before")
        self.assertEqual(before["PercentProgress"], 100)
        self.assertIn("SnapshotDatabaseTime", before)
        self.assertEqual(before["OriginalSnapshotCreateTime"], before["SnapshotCreateTime"])
        self.assertLessEqual(before["SnapshotCreateTime"], before["SnapshotDatabaseTime"])
        self.psql(orders, "delete from entry")
        self.assertEqual(self.psql(orders, "select count(*) from entry"), (0, "0"))

        self.rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier="orders-back",
            DBSnapshotIdentifier=before["DBSnapshotArn"],
            Tags=[{"Key": "redrill", "Value": "yes"}],
        )
        seen, back = self.follow("orders-back")
        self.assertEqual((seen[0], seen[-1]), ("creating", "available"))
        self.assertNotEqual(back["Endpoint"]["Port"], orders["Endpoint"]["Port"])
        self.assertNotEqual(back["DbiResourceId"], orders["DbiResourceId"])
        self.assertEqual(back["TagList"], [{"Key": "redrill", "Value": "yes"}])
        self.assertEqual(self.psql(back, "select count(*) from entry"), (0, "100000"))
        self.assertEqual(self.psql(orders, "select count(*) from entry"), (0, "0"))
        wrong = self.psql(back, "select 1", password="wrong")
        self.assertIn("password authentication failed", wrong[1])

        self.rds.modify_db_instance(DBInstanceIdentifier="orders-back", MasterUserPassword="n'ew")
        wait_for(lambda: self.psql(back, "select 1", password="n'ew") == (0, "1"))
        self.assertEqual(self.psql(back, "select 1")[0], 2)

        self.rds.delete_db_instance(DBInstanceIdentifier="orders-back", SkipFinalSnapshot=True)
        self.assertEqual(self.instance("orders-back")["DBInstanceStatus"], "deleting")
        self.assertEqual(
            self.code_of(
                self.rds.delete_db_instance,
                DBInstanceIdentifier="orders-back",
                SkipFinalSnapshot=True,
            ),
            "InvalidDBInstanceState",
        )
        wait_for(lambda: len(self.rds.describe_db_instances()["DBInstances"]) == 1)
        self.assertEqual(
            self.code_of(self.rds.describe_db_instances, DBInstanceIdentifier="orders-back"),
            "DBInstanceNotFound",
        )
        self.assertIn("Connection refused", self.psql(back, "select 1")[1])
        self.assertEqual(self.psql(orders, "select count(*) from entry"), (0, "0"))


class Copies(WithServer):
    def test_a_copy_in_another_region_outlives_the_original_and_keeps_its_times(self):
        self.rds.create_db_instance(DBInstanceIdentifier="orders", **INSTANCE)
        _, orders = self.follow("orders")
        self.psql(orders, "create table entry as select 7 as id")
        self.rds.delete_db_instance(
            DBInstanceIdentifier="orders", FinalDBSnapshotIdentifier="final"
        )
        final = self.wait_for_snapshot("final")
        elsewhere = self.server.rds("ap-northeast-3")
        arguments = {
            "SourceDBSnapshotIdentifier": final["DBSnapshotArn"],
            "TargetDBSnapshotIdentifier": "copied",
        }
        time.sleep(0.01)
        elsewhere.copy_db_snapshot(**arguments, SourceRegion="ap-northeast-1")
        copied = self.wait_for_snapshot("copied", elsewhere)
        for name in ("OriginalSnapshotCreateTime", "SnapshotDatabaseTime"):
            self.assertEqual(copied[name], final[name])
        self.assertGreater(copied["SnapshotCreateTime"], final["SnapshotCreateTime"])
        self.assertEqual(copied["SourceDBSnapshotIdentifier"], final["DBSnapshotArn"])

        self.rds.delete_db_snapshot(DBSnapshotIdentifier="final")
        elsewhere.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier="orders-dr", DBSnapshotIdentifier="copied"
        )
        _, restored = self.follow("orders-dr", rds=elsewhere)
        self.assertEqual(self.psql(restored, "select id from entry"), (0, "7"))


class Failures(WithServer):
    def test_a_restore_from_ruined_files_ends_as_incompatible_restore_and_can_be_deleted(self):
        self.rds.create_db_instance(DBInstanceIdentifier="orders", **INSTANCE)
        self.follow("orders")
        self.rds.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier="ruined")
        self.wait_for_snapshot("ruined")
        for control_file in self.server.folder.glob("state/snapshot-*/global/pg_control"):
            control_file.write_bytes(b"")
        self.rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier="back", DBSnapshotIdentifier="ruined"
        )
        self.follow("back", until="incompatible-restore")
        self.rds.delete_db_instance(DBInstanceIdentifier="back", SkipFinalSnapshot=True)
        wait_for(lambda: len(self.rds.describe_db_instances()["DBInstances"]) == 1)

    def test_what_is_not_simulated_is_refused(self):
        self.rds.create_db_instance(DBInstanceIdentifier="source", **INSTANCE)
        self.assertEqual(
            self.code_of(
                self.rds.create_db_snapshot,
                DBInstanceIdentifier="source",
                DBSnapshotIdentifier="too-early",
            ),
            "InvalidDBInstanceState",
        )
        self.assertEqual(
            self.code_of(
                self.rds.restore_db_instance_to_point_in_time,
                SourceDBInstanceIdentifier="source",
                TargetDBInstanceIdentifier="target",
                UseLatestRestorableTime=True,
            ),
            "InvalidAction",
        )
        self.assertEqual(
            self.code_of(
                self.rds.create_db_instance_read_replica,
                SourceDBInstanceIdentifier="source",
                DBInstanceIdentifier="replica",
            ),
            "InvalidAction",
        )

    def test_an_instance_can_be_stopped_and_started(self):
        self.rds.create_db_instance(DBInstanceIdentifier="sleeper", **INSTANCE)
        _, sleeper = self.follow("sleeper")
        self.rds.stop_db_instance(DBInstanceIdentifier="sleeper")
        self.follow("sleeper", until="stopped")
        self.assertIn("Connection refused", self.psql(sleeper, "select 1")[1])
        self.rds.start_db_instance(DBInstanceIdentifier="sleeper")
        self.follow("sleeper")
        self.assertEqual(self.psql(sleeper, "select 1"), (0, "1"))

    def test_other_engines_and_services_are_as_in_moto(self):
        arguments = {**INSTANCE, "Engine": "mysql", "DBInstanceIdentifier": "plain"}
        answer = self.rds.create_db_instance(**arguments)
        self.assertEqual(answer["DBInstance"]["DBInstanceStatus"], "available")
        ec2 = self.server.client("ec2", "ap-northeast-1")
        self.assertEqual(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"], [])
        s3 = self.server.client("s3", "us-east-1")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="key", Body=b"text")
        self.assertEqual(s3.get_object(Bucket="bucket", Key="key")["Body"].read(), b"text")


class Endings(unittest.TestCase):
    def ends_with_nothing_left(self, how, wait_until_available):
        server = Server()
        self.addCleanup(server.remove)
        rds = server.rds()
        for name in ("one", "two"):
            rds.create_db_instance(DBInstanceIdentifier=name, **INSTANCE)

        def statuses():
            return {i["DBInstanceStatus"] for i in rds.describe_db_instances()["DBInstances"]}

        if wait_until_available:
            wait_for(lambda: statuses() == {"available"})
        self.assertGreater(len(processes_below(server.folder)), 1)
        self.assertEqual(server.end(how), 0)
        self.assertEqual(processes_below(server.folder), [])

    def test_sigterm_stops_every_postgresql(self):
        self.ends_with_nothing_left(signal.SIGTERM, wait_until_available=True)

    def test_sigint_stops_every_postgresql(self):
        self.ends_with_nothing_left(signal.SIGINT, wait_until_available=True)

    def test_sigterm_while_instances_are_being_created_leaves_nothing(self):
        self.ends_with_nothing_left(signal.SIGTERM, wait_until_available=False)

    def test_a_reset_stops_every_postgresql(self):
        server = Server()
        self.addCleanup(server.remove)
        server.rds().create_db_instance(DBInstanceIdentifier="one", **INSTANCE)
        reset = urllib.request.Request(f"{server.address}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()
        self.assertEqual(server.rds().describe_db_instances()["DBInstances"], [])
        wait_for(lambda: len(processes_below(server.folder)) == 1)


if __name__ == "__main__":
    unittest.main()
