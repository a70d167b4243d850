"""Drives a served sandbox with boto3, as a client that knows nothing of how it is made.

    sandbox_conformance.py ENDPOINT     every operation below, with assertions on the answers
    sandbox_conformance.py --list       the operations, one `service Operation` a line

The endpoint serves conformance_estate.yaml afresh (what is done here changes it), with time that
runs 60 to 600 times faster than real time: a restore takes ten minutes there. What is expected
is what AWS documents, as far as the sandbox simulates it. Ends with 0 only when every assertion
held and every operation of the list was called.
"""

import sys
import time
import unittest
import unittest.mock
import uuid
from datetime import datetime, timedelta, timezone

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

OPERATIONS = {
    "rds": """DescribeDBInstances DescribeDBSnapshots DescribeDBInstanceAutomatedBackups
        RestoreDBInstanceFromDBSnapshot ModifyDBInstance DeleteDBInstance CopyDBSnapshot
        DeleteDBSnapshot AddTagsToResource ListTagsForResource DescribeEvents DescribeDBParameters
        DescribeDBParameterGroups DescribeDBSubnetGroups DescribeAccountAttributes
        DescribeDBClusters DescribeDBClusterSnapshots DescribeDBClusterParameterGroups
        DescribeDBClusterParameters RestoreDBClusterFromSnapshot RestoreDBClusterToPointInTime
        CreateDBInstance ModifyDBCluster DeleteDBCluster CopyDBClusterSnapshot DeleteDBClusterSnapshot
        DescribeDBEngineVersions RestoreDBInstanceToPointInTime PromoteReadReplica""",
    "ec2": """DescribeSnapshots DescribeVolumes CreateVolume DeleteVolume CreateTags DescribeTags
        CopySnapshot DeleteSnapshot DescribeSecurityGroups DescribeAvailabilityZones""",
    "kms": "DescribeKey",
    "sts": "GetCallerIdentity AssumeRole",
    "secretsmanager": "GetSecretValue",
    "cloudwatch": "DescribeAlarms",
    "s3": """HeadBucket GetBucketLocation GetBucketVersioning GetBucketReplication PutObject
        GetObject HeadObject DeleteObject DeleteObjects ListObjectsV2 ListObjectVersions
        PutBucketVersioning CreateBucket DeleteBucket ListBuckets PutBucketReplication
        DeleteBucketReplication GetObjectTagging CreateMultipartUpload UploadPart
        CompleteMultipartUpload AbortMultipartUpload""",
}

HOME, OTHER = "111111111111", "222222222222"
TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
OSAKA_KEY = "3333aaaa-0000-4000-8000-000000000001"
VOLUME = "vol-0aaaaaaaaaaaaaaa1"
LIMIT_SECONDS = 120

endpoint = ""
called: set[tuple[str, str]] = set()


def remember(model, **_):
    called.add((model.service_model.service_name, model.name))


def client(service, region=TOKYO, account=HOME, credentials=None):
    """A client whose calls are remembered, with the sandbox's fixed credentials or others."""
    keys = credentials or {"AccessKeyId": f"SANDBOX{account}", "SecretAccessKey": "sandbox"}
    made = boto3.client(
        service,
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    made.meta.events.register("before-call", remember)
    return made


def wait_for(what):
    """Polls until `what` answers something true, and returns that."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (answer := what()):
        if time.monotonic() > deadline:
            raise TimeoutError("waited too long")
        time.sleep(0.1)
    return answer


class Conformance(unittest.TestCase):
    def refuses(self, code, status, operation, **arguments):
        """Asserts that AWS's error code and HTTP status are the answer."""
        with self.assertRaises(ClientError) as caught:
            operation(**arguments)
        answer = caught.exception.response
        found = (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"])
        self.assertEqual(found, (code, status))


class Identity(Conformance):
    def test_the_caller_is_who_the_access_key_says(self):
        answer = client("sts", account=OTHER).get_caller_identity()
        self.assertEqual(answer["Account"], OTHER)
        self.assertIn(OTHER, answer["Arn"])
        self.assertTrue(answer["ResponseMetadata"]["RequestId"])

    def test_an_assumed_role_acts_in_its_account(self):
        answer = client("sts", account="000000000000").assume_role(
            RoleArn=f"arn:aws:iam::{OTHER}:role/redrill-drill", RoleSessionName="drill-7"
        )
        self.assertGreater(
            answer["Credentials"]["Expiration"], datetime(2026, 11, 22, tzinfo=timezone.utc)
        )
        arn = f"arn:aws:sts::{OTHER}:assumed-role/redrill-drill/drill-7"
        self.assertEqual(answer["AssumedRoleUser"]["Arn"], arn)
        session = client("sts", credentials=answer["Credentials"])
        self.assertEqual(session.get_caller_identity()["Arn"], arn)

    def test_other_roles_accounts_and_keys_are_refused(self):
        sts = client("sts", account="000000000000")
        for arn in (
            f"arn:aws:iam::{HOME}:role/admin",
            "arn:aws:iam::999999999999:role/redrill-drill",
        ):
            self.refuses("AccessDenied", 403, sts.assume_role, RoleArn=arn, RoleSessionName="drill")
        unknown = {"AccessKeyId": "AKIAUNKNOWN", "SecretAccessKey": "x"}
        nobody = client("sts", credentials=unknown)
        self.refuses("InvalidClientTokenId", 403, nobody.get_caller_identity)

    def test_what_is_not_simulated_is_an_invalid_action(self):
        self.refuses("InvalidAction", 400, client("rds").describe_db_proxies)


class Clusters(Conformance):
    def setUp(self):
        self.rds = client("rds")

    def cluster(self, name):
        return self.rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]

    def wait_for_cluster(self, name):
        wait_for(lambda: self.cluster(name)["Status"] == "available")

    def add_member(self, cluster, name, **more):
        return self.rds.create_db_instance(
            DBInstanceIdentifier=name,
            DBClusterIdentifier=cluster,
            Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large",
            **more,
        )["DBInstance"]

    def status(self, name):
        answer = self.rds.describe_db_instances(DBInstanceIdentifier=name)
        return answer["DBInstances"][0]["DBInstanceStatus"]

    def remove(self, cluster, members):
        for member in members:
            self.rds.delete_db_instance(DBInstanceIdentifier=member, SkipFinalSnapshot=True)
        self.rds.delete_db_cluster(DBClusterIdentifier=cluster, SkipFinalSnapshot=True)
        filters = [{"Name": "db-cluster-id", "Values": [cluster]}]
        wait_for(lambda: not self.rds.describe_db_clusters(Filters=filters)["DBClusters"])
        self.refuses(
            *("DBClusterNotFoundFault", 404, self.rds.describe_db_clusters),
            DBClusterIdentifier=cluster,
        )

    def test_a_cluster_is_described_as_the_estate_has_it(self):
        payments = self.cluster("payments")
        expected = {
            "Status": "available",
            "Engine": "aurora-postgresql",
            "Port": 5433,
            "DBClusterParameterGroup": "payments-cluster",
            "DeletionProtection": True,
            "StorageEncrypted": True,
            "DatabaseName": "payments",
            "EnabledCloudwatchLogsExports": ["postgresql"],
            "DBClusterArn": f"arn:aws:rds:{TOKYO}:{HOME}:cluster:payments",
        }
        self.assertEqual({key: payments[key] for key in expected}, expected)
        roles = {m["DBInstanceIdentifier"]: m["IsClusterWriter"] for m in payments["DBClusterMembers"]}
        self.assertEqual(roles, {"payments-1": True, "payments-2": False})
        self.assertIn(".cluster-ro-", payments["ReaderEndpoint"])
        self.assertLess(payments["EarliestRestorableTime"], payments["LatestRestorableTime"])
        groups = self.rds.describe_db_cluster_parameter_groups(
            DBClusterParameterGroupName="payments-cluster"
        )["DBClusterParameterGroups"]
        self.assertEqual(groups[0]["DBParameterGroupFamily"], "aurora-postgresql16")
        parameters = self.rds.describe_db_cluster_parameters(
            DBClusterParameterGroupName="payments-cluster", Source="user"
        )["Parameters"]
        self.assertEqual(
            [(p["ParameterName"], p["ParameterValue"]) for p in parameters],
            [("rds.force_ssl", "1")],
        )

    def test_a_copy_of_a_snapshot_has_its_own_time_and_names_its_source(self):
        osaka = client("rds", OSAKA)
        pages = osaka.get_paginator("describe_db_cluster_snapshots")
        pages = pages.paginate(DBClusterIdentifier="payments", PaginationConfig={"PageSize": 20})
        copies = [s for page in pages for s in page["DBClusterSnapshots"]]
        copies = [s for s in copies if s["Status"] == "available"]
        self.assertGreater(len(copies), 20)
        for copy in copies:
            self.assertEqual(copy["SnapshotType"], "manual")
            self.assertIn(":cluster-snapshot:rds:payments-", copy["SourceDBClusterSnapshotArn"])
            tags = {tag["Key"]: tag["Value"] for tag in copy["TagList"]}
            self.assertLess(
                datetime.fromisoformat(tags["data-time"].replace("Z", "+00:00")),
                copy["SnapshotCreateTime"],
            )
        self.refuses(
            *("DBClusterSnapshotNotFoundFault", 404, osaka.describe_db_cluster_snapshots),
            DBClusterSnapshotIdentifier="nothing",
        )

    def test_a_cluster_snapshot_is_copied_to_another_region_and_deleted_there(self):
        osaka = client("rds", OSAKA)
        name = "payments-before-copy"
        source = f"arn:aws:rds:{TOKYO}:{HOME}:cluster-snapshot:payments-before"
        request = {
            "SourceDBClusterSnapshotIdentifier": source,
            "TargetDBClusterSnapshotIdentifier": name,
            "Tags": [{"Key": "data-time", "Value": "2026-11-19T00:00:00Z"}],
        }
        # Keys do not leave their region.
        self.refuses("InvalidParameterValue", 400, osaka.copy_db_cluster_snapshot, **request)
        request["KmsKeyId"] = OSAKA_KEY
        answer = osaka.copy_db_cluster_snapshot(**request)
        self.assertEqual(answer["DBClusterSnapshot"]["Status"], "copying")
        self.refuses(
            *("DBClusterSnapshotAlreadyExistsFault", 400, osaka.copy_db_cluster_snapshot),
            **request,
        )

        def finished():
            found = osaka.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)
            found = found["DBClusterSnapshots"][0]
            return found if found["Status"] == "available" else None

        copy = wait_for(finished)
        self.assertEqual(copy["SourceDBClusterSnapshotArn"], source)
        self.assertEqual((copy["SnapshotType"], copy["TagList"]), ("manual", request["Tags"]))
        original = self.rds.describe_db_cluster_snapshots(
            DBClusterSnapshotIdentifier="payments-before"
        )["DBClusterSnapshots"][0]
        # The time of the data is not kept.
        self.assertGreater(copy["SnapshotCreateTime"], original["SnapshotCreateTime"])
        osaka.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
        self.refuses(
            *("DBClusterSnapshotNotFoundFault", 404, osaka.describe_db_cluster_snapshots),
            DBClusterSnapshotIdentifier=name,
        )

    def test_a_restored_cluster_is_empty_gets_members_and_goes(self):
        request = {
            "DBClusterIdentifier": "payments-drill",
            "SnapshotIdentifier": "payments-before",
            "Engine": "aurora-postgresql",
            "DeletionProtection": True,
            "Tags": [{"Key": "redrill:run", "Value": "7"}],
        }
        answer = self.rds.restore_db_cluster_from_snapshot(**request)["DBCluster"]
        self.assertEqual((answer["Status"], answer["DBClusterMembers"]), ("creating", []))
        self.refuses(
            *("DBClusterAlreadyExistsFault", 400, self.rds.restore_db_cluster_from_snapshot),
            **request,
        )
        member = {"cluster": "payments-drill", "name": "payments-drill-1"}
        self.refuses("InvalidDBClusterStateFault", 400, self.add_member, **member)
        self.wait_for_cluster("payments-drill")
        drill = self.cluster("payments-drill")
        # What the call does not say has the service's defaults, not those of the original.
        self.assertEqual(drill["DBSubnetGroup"], "default")
        self.assertEqual(drill["DBClusterParameterGroup"], "default.aurora-postgresql16")
        self.assertEqual(drill["EnabledCloudwatchLogsExports"], [])
        made = self.add_member(**member, PromotionTier=3)
        self.assertEqual(made["DBInstanceStatus"], "creating")
        self.assertEqual(self.cluster("payments-drill")["Status"], "available")
        wait_for(lambda: self.status("payments-drill-1") == "available")
        joined = self.cluster("payments-drill")["DBClusterMembers"]
        self.assertEqual(
            [(m["DBInstanceIdentifier"], m["IsClusterWriter"], m["PromotionTier"]) for m in joined],
            [("payments-drill-1", True, 3)],
        )
        arn = drill["DBClusterArn"]
        self.rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "team", "Value": "a"}])
        tags = self.rds.list_tags_for_resource(ResourceName=arn)["TagList"]
        self.assertEqual({t["Key"] for t in tags}, {"redrill:run", "team"})
        delete = self.rds.delete_db_cluster
        gone = {"DBClusterIdentifier": "payments-drill", "SkipFinalSnapshot": True}
        self.refuses("InvalidParameterCombination", 400, delete, **gone)
        self.rds.modify_db_cluster(
            DBClusterIdentifier="payments-drill", DeletionProtection=False, ApplyImmediately=True
        )
        self.refuses("InvalidDBClusterStateFault", 400, delete, **gone)
        self.refuses(
            *("InvalidParameterCombination", 400, self.rds.delete_db_instance),
            DBInstanceIdentifier="payments-drill-1",
            FinalDBSnapshotIdentifier="last",
        )
        self.remove("payments-drill", ["payments-drill-1"])

    def test_a_cluster_is_restored_to_a_time_of_its_window_only(self):
        payments = self.cluster("payments")
        restore = self.rds.restore_db_cluster_to_point_in_time
        base = {"DBClusterIdentifier": "payments-then", "SourceDBClusterIdentifier": "payments"}
        time = payments["LatestRestorableTime"] - timedelta(hours=5)
        early = payments["EarliestRestorableTime"] - timedelta(days=1)
        for change, code in [
            ({}, "InvalidParameterCombination"),
            ({"RestoreToTime": time, "RestoreType": "copy-on-write"}, "InvalidParameterCombination"),
            ({"RestoreToTime": early}, "InvalidRestoreFault"),
        ]:
            with self.subTest(code):
                self.refuses(code, 400, restore, **base, **change)
        answer = restore(**base, RestoreToTime=time)["DBCluster"]
        # The port is the engine's, not that of the source.
        self.assertEqual(answer["Port"], 5432)
        self.wait_for_cluster("payments-then")
        self.remove("payments-then", [])


class Databases(Conformance):
    def setUp(self):
        self.rds = client("rds")

    def snapshots(self, rds=None, **arguments):
        pages = (rds or self.rds).get_paginator("describe_db_snapshots").paginate(**arguments)
        return [snapshot for page in pages for snapshot in page["DBSnapshots"]]

    def test_an_instance_is_described_as_the_estate_has_it(self):
        answer = self.rds.describe_db_instances(DBInstanceIdentifier="orders-db")
        orders = answer["DBInstances"][0]
        expected = {
            "DBInstanceStatus": "available",
            "Engine": "postgres",
            "EngineVersion": "16.4",
            "DBInstanceClass": "db.r6g.large",
            "AllocatedStorage": 100,
            "MultiAZ": True,
            "StorageEncrypted": True,
            "DBName": "orders",
            "MasterUsername": "keeper",
            "DBInstanceArn": f"arn:aws:rds:{TOKYO}:{HOME}:db:orders-db",
            "TagList": [{"Key": "system", "Value": "orders"}],
        }
        self.assertEqual({key: orders[key] for key in expected}, expected)
        self.assertIn("1111aaaa-0000-4000-8000-000000000001", orders["KmsKeyId"])
        self.assertEqual(orders["DBSubnetGroup"]["DBSubnetGroupName"], "orders-private")
        self.assertEqual(orders["VpcSecurityGroups"][0]["VpcSecurityGroupId"], "sg-orders")
        self.assertEqual(orders["DBParameterGroups"][0]["DBParameterGroupName"], "orders-pg16")
        self.assertTrue(orders["Endpoint"]["Address"].endswith(".sandbox.invalid"))
        elsewhere = client("rds", OSAKA, OTHER).describe_db_instances()
        self.assertEqual(elsewhere["DBInstances"], [])
        self.refuses(
            *("DBInstanceNotFound", 404, self.rds.describe_db_instances),
            DBInstanceIdentifier="nobody",
        )

    def test_more_snapshots_than_a_page_holds_come_once_each(self):
        first = self.rds.describe_db_snapshots(DBInstanceIdentifier="ticks-db")
        self.assertEqual(len(first["DBSnapshots"]), 100)
        self.assertTrue(first["Marker"])
        found = self.snapshots(DBInstanceIdentifier="ticks-db", PaginationConfig={"PageSize": 20})
        self.assertGreaterEqual(len(found), 160)
        self.assertEqual(len({s["DBSnapshotArn"] for s in found}), len(found))
        self.refuses(*("InvalidParameterValue", 400, self.rds.describe_db_snapshots), MaxRecords=19)

    def test_scheduled_snapshots_come_at_their_times_and_are_kept_for_their_days(self):
        found = self.snapshots(DBInstanceIdentifier="orders-db", SnapshotType="automated")
        # One that is just being taken has no time yet.
        found = [s for s in found if s["Status"] == "available"]
        taken = sorted(s["SnapshotCreateTime"] for s in found)
        gaps = {
            later.replace(microsecond=0) - earlier.replace(microsecond=0)
            for earlier, later in zip(taken, taken[1:], strict=False)
        }
        self.assertEqual(gaps, {timedelta(hours=6)})
        self.assertGreaterEqual(taken[-1] - taken[0], timedelta(days=6, hours=12))
        for snapshot in found:
            self.assertTrue(snapshot["DBSnapshotIdentifier"].startswith("rds:orders-db-"))
            self.assertTrue(snapshot["Encrypted"])
            self.assertLessEqual(
                snapshot["OriginalSnapshotCreateTime"], snapshot["SnapshotCreateTime"]
            )

    def test_a_copy_carries_its_own_time_and_the_time_of_its_data(self):
        copies = [
            s
            for s in self.snapshots(client("rds", OSAKA))
            if s["DBInstanceIdentifier"] == "orders-db" and s["Status"] == "available"
        ]
        self.assertGreater(len(copies), 20)
        originals = {
            s["SnapshotDatabaseTime"]: s
            for s in self.snapshots(DBInstanceIdentifier="orders-db")
            if s["SnapshotType"] == "automated" and s["Status"] == "available"
        }
        known = [s for s in copies if s.get("SnapshotDatabaseTime") in originals]
        self.assertGreater(len(known), 20)
        for copy in known:
            original = originals[copy["SnapshotDatabaseTime"]]
            self.assertEqual(
                copy["OriginalSnapshotCreateTime"], original["OriginalSnapshotCreateTime"]
            )
            self.assertGreater(copy["SnapshotCreateTime"], original["SnapshotCreateTime"])
            self.assertIn(OSAKA_KEY, copy["KmsKeyId"])

    def follow(self, name, until):
        """Waits for a status; returns the distinct ones seen on the way, and the instance."""
        seen = []

        def arrived():
            answer = self.rds.describe_db_instances(DBInstanceIdentifier=name)
            instance = answer["DBInstances"][0]
            if instance["DBInstanceStatus"] not in seen[-1:]:
                seen.append(instance["DBInstanceStatus"])
            return instance if seen[-1] == until else None

        return seen, wait_for(arrived)

    def instances_used(self):
        quotas = self.rds.describe_account_attributes()["AccountQuotas"]
        used = [q["Used"] for q in quotas if q["AccountQuotaName"] == "DBInstances"]
        self.assertEqual(len(used), 1, quotas)
        return used[0]

    def test_a_restored_instance_comes_up_changes_and_goes(self):
        request = {
            "DBInstanceIdentifier": "orders-drill",
            "DBSnapshotIdentifier": "before-release",
            "DBInstanceClass": "db.t4g.medium",
            "Tags": [{"Key": "redrill:run", "Value": "7"}],
        }
        before = self.instances_used()
        answer = self.rds.restore_db_instance_from_db_snapshot(**request)
        self.assertEqual(answer["DBInstance"]["DBInstanceStatus"], "creating")
        self.assertEqual(self.instances_used(), before + 1)
        self.assertNotIn("Endpoint", answer["DBInstance"])
        self.refuses(
            *("DBInstanceAlreadyExists", 400, self.rds.restore_db_instance_from_db_snapshot),
            **request,
        )
        self.refuses(
            *("InvalidDBInstanceState", 400, self.rds.modify_db_instance),
            DBInstanceIdentifier="orders-drill",
            BackupRetentionPeriod=0,
            ApplyImmediately=True,
        )
        seen, restored = self.follow("orders-drill", "available")
        self.assertEqual(seen[0], "creating")
        # What the call does not say has the service's defaults, not those of the original.
        self.assertFalse(restored["MultiAZ"])
        self.assertEqual(restored["DBSubnetGroup"]["DBSubnetGroupName"], "default")
        self.assertTrue(
            restored["DBParameterGroups"][0]["DBParameterGroupName"].startswith(
                "default.postgres16"
            )
        )
        self.assertEqual(restored["DBInstanceClass"], "db.t4g.medium")
        self.assertEqual(restored["TagList"], [{"Key": "redrill:run", "Value": "7"}])
        self.assertTrue(restored["Endpoint"]["Address"].startswith("orders-drill."))
        source = {"SourceIdentifier": "orders-drill", "SourceType": "db-instance"}
        events = self.rds.describe_events(**source, Duration=24 * 60)["Events"]
        self.assertTrue(any("restored" in e["Message"].lower() for e in events), events)
        dates = [e["Date"] for e in events]
        self.assertEqual(dates, sorted(dates))

        self.rds.modify_db_instance(
            DBInstanceIdentifier="orders-drill", MultiAZ=True, ApplyImmediately=True
        )

        def has_standby():
            now = self.rds.describe_db_instances(DBInstanceIdentifier="orders-drill")
            instance = now["DBInstances"][0]
            return instance["MultiAZ"] and instance["DBInstanceStatus"] == "available"

        wait_for(has_standby)
        self.refuses(
            *("InvalidParameterCombination", 400, self.rds.delete_db_instance),
            DBInstanceIdentifier="orders-drill",
        )
        answer = self.rds.delete_db_instance(
            DBInstanceIdentifier="orders-drill", SkipFinalSnapshot=True
        )
        self.assertEqual(answer["DBInstance"]["DBInstanceStatus"], "deleting")
        self.refuses(
            *("InvalidDBInstanceState", 400, self.rds.delete_db_instance),
            DBInstanceIdentifier="orders-drill",
            SkipFinalSnapshot=True,
        )
        wait_for(
            lambda: (
                "orders-drill"
                not in [
                    i["DBInstanceIdentifier"]
                    for i in self.rds.describe_db_instances()["DBInstances"]
                ]
            )
        )
        self.refuses(
            *("DBInstanceNotFound", 404, self.rds.describe_db_instances),
            DBInstanceIdentifier="orders-drill",
        )

    def test_a_restore_that_names_something_missing_is_refused(self):
        base = {"DBInstanceIdentifier": "never", "DBSnapshotIdentifier": "before-release"}
        cases = [
            ({"DBSnapshotIdentifier": "nothing"}, "DBSnapshotNotFound"),
            ({"DBSubnetGroupName": "nothing"}, "DBSubnetGroupNotFoundFault"),
            ({"DBParameterGroupName": "nothing"}, "DBParameterGroupNotFound"),
        ]
        for change, code in cases:
            with self.subTest(code):
                operation = self.rds.restore_db_instance_from_db_snapshot
                self.refuses(code, 404, operation, **{**base, **change})
        names = [i["DBInstanceIdentifier"] for i in self.rds.describe_db_instances()["DBInstances"]]
        self.assertNotIn("never", names)

    def test_a_protected_instance_is_not_deleted(self):
        self.refuses(
            *("InvalidParameterCombination", 400, self.rds.delete_db_instance),
            DBInstanceIdentifier="guarded-db",
            SkipFinalSnapshot=True,
        )

    def test_a_snapshot_is_copied_to_another_region_and_deleted_there(self):
        osaka = client("rds", OSAKA)
        request = {
            "SourceDBSnapshotIdentifier": f"arn:aws:rds:{TOKYO}:{HOME}:snapshot:before-release",
            "TargetDBSnapshotIdentifier": "before-release-copy",
            "CopyTags": True,
        }
        # Keys do not leave their region.
        self.refuses("InvalidParameterValue", 400, osaka.copy_db_snapshot, **request)
        answer = osaka.copy_db_snapshot(**request, KmsKeyId=OSAKA_KEY)
        self.assertEqual(answer["DBSnapshot"]["Status"], "creating")
        name = "before-release-copy"

        def finished():
            found = osaka.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
            return found if found["Status"] == "available" else None

        copy = wait_for(finished)
        original = self.rds.describe_db_snapshots(DBSnapshotIdentifier="before-release")
        original = original["DBSnapshots"][0]
        for key in ("OriginalSnapshotCreateTime", "SnapshotDatabaseTime"):
            self.assertEqual(copy[key], original[key])
        self.assertGreater(copy["SnapshotCreateTime"], original["SnapshotCreateTime"])
        self.assertEqual(copy["TagList"], [{"Key": "reason", "Value": "release"}])
        self.assertEqual(copy["SnapshotType"], "manual")
        osaka.delete_db_snapshot(DBSnapshotIdentifier=name)
        self.refuses(
            *("DBSnapshotNotFound", 404, osaka.describe_db_snapshots), DBSnapshotIdentifier=name
        )

    def test_tags_are_added_and_listed(self):
        arn = f"arn:aws:rds:{TOKYO}:{HOME}:snapshot:before-release"
        tag = {"Key": "seen", "Value": "yes"}
        target = f"arn:aws:rds:{TOKYO}:{HOME}:db:ticks-db"
        self.rds.add_tags_to_resource(ResourceName=target, Tags=[tag])
        self.assertIn(tag, self.rds.list_tags_for_resource(ResourceName=target)["TagList"])
        listed = self.rds.list_tags_for_resource(ResourceName=arn)["TagList"]
        self.assertEqual(listed, [{"Key": "reason", "Value": "release"}])

    def test_groups_and_parameters_are_described(self):
        group = self.rds.describe_db_subnet_groups(DBSubnetGroupName="orders-private")
        subnets = group["DBSubnetGroups"][0]["Subnets"]
        self.assertEqual({s["SubnetIdentifier"] for s in subnets}, {"subnet-0a", "subnet-0c"})
        answer = self.rds.describe_db_parameter_groups(DBParameterGroupName="orders-pg16")
        self.assertEqual(answer["DBParameterGroups"][0]["DBParameterGroupFamily"], "postgres16")
        answer = self.rds.describe_db_parameters(DBParameterGroupName="orders-pg16", Source="user")
        values = {p["ParameterName"]: p["ParameterValue"] for p in answer["Parameters"]}
        self.assertEqual(values, {"work_mem": "65536"})
        missing = "nothing"
        self.refuses(
            *("DBSubnetGroupNotFoundFault", 404, self.rds.describe_db_subnet_groups),
            DBSubnetGroupName=missing,
        )
        self.refuses(
            *("DBParameterGroupNotFound", 404, self.rds.describe_db_parameter_groups),
            DBParameterGroupName=missing,
        )

    def test_automated_backups_have_a_window(self):
        answer = self.rds.describe_db_instance_automated_backups(DBInstanceIdentifier="orders-db")
        backup = answer["DBInstanceAutomatedBackups"][0]
        self.assertEqual(backup["Status"], "active")
        window = backup["RestoreWindow"]
        self.assertGreater(window["LatestTime"] - window["EarliestTime"], timedelta(days=6))

    def test_a_point_in_time_is_restored_from_backups_that_were_replicated(self):
        osaka = client("rds", OSAKA)
        answer = osaka.describe_db_instance_automated_backups()["DBInstanceAutomatedBackups"]
        backup = next(one for one in answer if one["DBInstanceIdentifier"] == "orders-db")
        self.assertEqual((backup["Status"], backup["Region"]), ("replicating", TOKYO))
        self.assertTrue(backup["KmsKeyId"].endswith(OSAKA_KEY))
        source = {
            "SourceDBInstanceAutomatedBackupsArn": backup["DBInstanceAutomatedBackupsArn"],
            "TargetDBInstanceIdentifier": "orders-then",
        }
        restore = osaka.restore_db_instance_to_point_in_time
        early = backup["RestoreWindow"]["EarliestTime"] - timedelta(days=30)
        self.refuses("InvalidParameterValue", 400, restore, RestoreTime=early, **source)
        self.refuses("InvalidParameterCombination", 400, restore, **source)
        restored = restore(UseLatestRestorableTime=True, **source)["DBInstance"]
        self.assertEqual((restored["MultiAZ"], restored["StorageEncrypted"]), (False, True))
        osaka.delete_db_instance(DBInstanceIdentifier="orders-then", SkipFinalSnapshot=True)

    def test_versions_that_are_gone_are_not_listed(self):
        osaka = client("rds", OSAKA)

        def listed(rds, version):
            answer = rds.describe_db_engine_versions(Engine="postgres", EngineVersion=version)
            return [one["EngineVersion"] for one in answer["DBEngineVersions"]]

        self.assertEqual(listed(osaka, "13.3"), [])
        self.assertEqual(listed(self.rds, "13.3"), ["13.3"])
        self.assertEqual(listed(osaka, "16.4"), ["16.4"])

    def test_a_replica_is_promoted_to_an_instance_of_its_own(self):
        osaka = client("rds", OSAKA)

        def source():
            found = osaka.describe_db_instances(DBInstanceIdentifier="orders-replica")
            return found["DBInstances"][0].get("ReadReplicaSourceDBInstanceIdentifier")

        self.assertEqual(source(), f"arn:aws:rds:{TOKYO}:{HOME}:db:orders-db")
        osaka.promote_read_replica(DBInstanceIdentifier="orders-replica")
        wait_for(lambda: source() is None)
        again = osaka.promote_read_replica
        self.refuses("InvalidDBInstanceState", 400, again, DBInstanceIdentifier="orders-replica")


class Volumes(Conformance):
    def setUp(self):
        self.ec2 = client("ec2")

    def newest_snapshot(self, ec2=None):
        answer = (ec2 or self.ec2).describe_snapshots(
            OwnerIds=["self"], Filters=[{"Name": "status", "Values": ["completed"]}]
        )
        return max(answer["Snapshots"], key=lambda s: s["StartTime"])

    def test_a_volume_and_its_snapshots_are_described(self):
        volume = self.ec2.describe_volumes(VolumeIds=[VOLUME])["Volumes"][0]
        self.assertEqual((volume["Size"], volume["State"]), (50, "in-use"))
        self.assertEqual(volume["Attachments"][0]["InstanceId"], "i-0aaaaaaaaaaaaaaa1")
        of_volume = [{"Name": "volume-id", "Values": [VOLUME]}]
        pages = self.ec2.get_paginator("describe_snapshots").paginate(
            OwnerIds=["self"], Filters=of_volume, PaginationConfig={"PageSize": 5}
        )
        found = [snapshot for page in pages for snapshot in page["Snapshots"]]
        self.assertGreaterEqual(len(found), 13)
        self.assertEqual(len({s["SnapshotId"] for s in found}), len(found))
        self.assertTrue(all(s["VolumeSize"] == 50 and s["Encrypted"] for s in found))
        tags = {t["Key"]: t["Value"] for t in found[0]["Tags"]}
        self.assertEqual(tags, {"system": "files", "schedule": "twice-a-day"})
        self.refuses(
            *("InvalidSnapshot.NotFound", 400, self.ec2.describe_snapshots),
            SnapshotIds=["snap-0123456789abcdef0"],
        )
        self.refuses(
            *("InvalidVolume.NotFound", 400, self.ec2.describe_volumes),
            VolumeIds=["vol-0123456789abcdef0"],
        )

    def test_a_copied_snapshot_belongs_to_no_volume(self):
        copy = self.newest_snapshot(client("ec2", OSAKA))
        self.assertNotEqual(copy["VolumeId"], VOLUME)
        self.assertIn({"Key": "system", "Value": "files"}, copy["Tags"])

    def test_a_volume_is_made_once_for_each_client_token_and_deleted(self):
        snapshot = self.newest_snapshot()["SnapshotId"]
        tags = [{"Key": "redrill:run", "Value": "7"}]
        request = {
            "SnapshotId": snapshot,
            "AvailabilityZone": f"{TOKYO}a",
            "VolumeType": "gp3",
            "ClientToken": str(uuid.uuid4()),
            "TagSpecifications": [{"ResourceType": "volume", "Tags": tags}],
        }
        self.refuses("DryRunOperation", 412, self.ec2.create_volume, **request, DryRun=True)
        made = self.ec2.create_volume(**request)
        again = self.ec2.create_volume(**request)
        self.assertEqual(made["VolumeId"], again["VolumeId"])
        self.assertEqual((made["State"], made["Size"], made["Encrypted"]), ("creating", 50, True))
        self.refuses(
            *("IdempotentParameterMismatch", 400, self.ec2.create_volume),
            **{**request, "Size": 60},
        )
        name = made["VolumeId"]
        ours = [{"Name": "tag:redrill:run", "Values": ["7"]}]

        def found():
            return self.ec2.describe_volumes(Filters=ours)["Volumes"]

        self.assertEqual([v["VolumeId"] for v in found()], [name])
        wait_for(lambda: found()[0]["State"] == "available")
        self.ec2.create_tags(Resources=[name], Tags=[{"Key": "checked", "Value": "yes"}])
        on_volume = [{"Name": "resource-id", "Values": [name]}]
        listed = self.ec2.describe_tags(Filters=on_volume)["Tags"]
        pairs = {t["Key"]: t["Value"] for t in listed}
        self.assertEqual(pairs, {"redrill:run": "7", "checked": "yes"})
        self.ec2.delete_volume(VolumeId=name)
        wait_for(lambda: not found())
        self.refuses("InvalidVolume.NotFound", 400, self.ec2.delete_volume, VolumeId=name)

    def test_an_attached_volume_is_not_deleted(self):
        self.refuses("VolumeInUse", 400, self.ec2.delete_volume, VolumeId=VOLUME)

    def test_a_snapshot_is_copied_and_deleted(self):
        osaka = client("ec2", OSAKA)
        request = {
            "SourceRegion": TOKYO,
            "SourceSnapshotId": self.newest_snapshot()["SnapshotId"],
            "KmsKeyId": OSAKA_KEY,
            "Encrypted": True,
        }
        self.refuses("DryRunOperation", 412, osaka.copy_snapshot, **request, DryRun=True)
        name = osaka.copy_snapshot(**request)["SnapshotId"]

        def copy():
            return osaka.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]

        self.assertEqual(copy()["State"], "pending")
        wait_for(lambda: copy()["State"] == "completed")
        self.assertIn(OSAKA_KEY, copy()["KmsKeyId"])
        # The tags of the original are not copied.
        self.assertEqual(copy().get("Tags", []), [])
        osaka.delete_snapshot(SnapshotId=name)
        self.refuses("InvalidSnapshot.NotFound", 400, osaka.delete_snapshot, SnapshotId=name)

    def test_zones_and_security_groups_are_described(self):
        zones = self.ec2.describe_availability_zones()["AvailabilityZones"]
        self.assertIn(f"{TOKYO}a", [z["ZoneName"] for z in zones])
        group = self.ec2.describe_security_groups(GroupIds=["sg-orders"])["SecurityGroups"][0]
        self.assertEqual((group["GroupName"], group["VpcId"]), ("orders", "vpc-orders"))
        self.refuses(
            *("InvalidGroup.NotFound", 400, self.ec2.describe_security_groups),
            GroupIds=["sg-0123456789abcdef0"],
        )


class KeysAndSecrets(Conformance):
    def test_keys_are_described_with_their_state(self):
        kms = client("kms")
        states = {"1": "Enabled", "2": "Disabled"}
        for end, state in states.items():
            key = f"1111aaaa-0000-4000-8000-00000000000{end}"
            metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
            self.assertEqual((metadata["KeyState"], metadata["Enabled"]), (state, end == "1"))
            self.assertEqual(metadata["Arn"], f"arn:aws:kms:{TOKYO}:{HOME}:key/{key}")
        self.refuses("NotFoundException", 400, kms.describe_key, KeyId=OSAKA_KEY)

    def test_a_secret_is_read_or_refused(self):
        secrets = client("secretsmanager")
        answer = secrets.get_secret_value(SecretId="orders/readonly")
        self.assertIn('"username"', answer["SecretString"])
        self.assertEqual(
            secrets.get_secret_value(SecretId=answer["ARN"])["Name"], "orders/readonly"
        )
        read = secrets.get_secret_value
        self.refuses("ResourceNotFoundException", 400, read, SecretId="nothing")
        self.refuses("AccessDeniedException", 400, read, SecretId="orders/forbidden")


class Alarms(Conformance):
    def test_alarms_are_told_by_name_type_and_state_in_both_protocols(self):
        for protocol in ("json", "smithy-rpc-v2-cbor"):
            with self.subTest(protocol):
                # botocore takes the first that a service speaks: JSON, where it may choose.
                choice = "botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS"
                with unittest.mock.patch(choice, (protocol,)):
                    cloudwatch = client("cloudwatch")
                self.assertEqual(cloudwatch.meta.service_model.resolved_protocol, protocol)
                self.tells_alarms(cloudwatch)

    def tells_alarms(self, cloudwatch):
        every = ["MetricAlarm", "CompositeAlarm"]
        names = ["orders-errors", "orders-any", "nothing"]
        answer = cloudwatch.describe_alarms(AlarmNames=names, AlarmTypes=every)
        (metric,), (composite,) = answer["MetricAlarms"], answer["CompositeAlarms"]
        self.assertEqual((metric["AlarmName"], metric["StateValue"]), ("orders-errors", "ALARM"))
        self.assertEqual(metric["StateReason"], "7 errors were above 5")
        self.assertEqual(metric["AlarmArn"], f"arn:aws:cloudwatch:{TOKYO}:{HOME}:alarm:orders-errors")
        since = datetime(2026, 11, 21, 23, 30, tzinfo=timezone.utc)
        self.assertEqual(metric["StateUpdatedTimestamp"], since)
        self.assertEqual(composite["StateValue"], "INSUFFICIENT_DATA")
        only = cloudwatch.describe_alarms(AlarmNames=names)
        self.assertEqual((len(only["MetricAlarms"]), only["CompositeAlarms"]), (1, []))
        pages = cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmTypes=every, PaginationConfig={"PageSize": 1}
        )
        seen = [
            alarm["AlarmName"]
            for page in pages
            for alarm in page["MetricAlarms"] + page["CompositeAlarms"]
        ]
        self.assertEqual(seen, ["orders-any", "orders-errors"])
        self.refuses(
            *("ValidationError", 400, cloudwatch.describe_alarms),
            AlarmNames=["a"],
            AlarmNamePrefix="a",
        )


class Objects(Conformance):
    def setUp(self):
        self.s3 = client("s3")
        self.osaka = client("s3", OSAKA)

    def test_buckets_say_where_they_are_and_how_they_keep_and_replicate(self):
        self.s3.head_bucket(Bucket="orders-files")
        location = self.s3.get_bucket_location(Bucket="orders-files")["LocationConstraint"]
        self.assertEqual(location, TOKYO)
        self.assertEqual(self.s3.get_bucket_versioning(Bucket="orders-files")["Status"], "Enabled")
        self.assertNotIn("Status", self.s3.get_bucket_versioning(Bucket="plain-files"))
        answer = self.s3.get_bucket_replication(Bucket="orders-files")
        rule = answer["ReplicationConfiguration"]["Rules"][0]
        self.assertEqual(rule["Status"], "Enabled")
        self.assertEqual(rule["Destination"]["Bucket"], "arn:aws:s3:::orders-files-dr")
        self.refuses(
            *("ReplicationConfigurationNotFoundError", 404, self.s3.get_bucket_replication),
            Bucket="plain-files",
        )
        self.refuses("NoSuchBucket", 404, self.s3.list_objects_v2, Bucket="nothing-here")
        self.s3.put_bucket_versioning(
            Bucket="plain-files", VersioningConfiguration={"Status": "Enabled"}
        )
        self.assertEqual(self.s3.get_bucket_versioning(Bucket="plain-files")["Status"], "Enabled")

    def test_an_object_is_written_read_in_parts_and_replicated_under_its_version(self):
        body = bytes(range(256)) * 4096
        put = self.s3.put_object(Bucket="orders-files", Key="data/a b+c.bin", Body=body)
        name = {"Bucket": "orders-files", "Key": "data/a b+c.bin"}
        self.assertEqual(self.s3.get_object(**name)["Body"].read(), body)
        part = self.s3.get_object(**name, Range="bytes=256-511")
        self.assertEqual(part["Body"].read(), bytes(range(256)))
        self.assertEqual(part["ContentRange"], f"bytes 256-511/{len(body)}")

        wait_for(lambda: self.s3.head_object(**name)["ReplicationStatus"] == "COMPLETED")
        replica = self.osaka.head_object(Bucket="orders-files-dr", Key=name["Key"])
        self.assertEqual(replica["VersionId"], put["VersionId"])
        self.assertEqual(replica["ETag"], put["ETag"])
        self.assertEqual(replica["ReplicationStatus"], "REPLICA")
        self.refuses("NoSuchKey", 404, self.s3.get_object, Bucket="orders-files", Key="nothing")
        self.refuses(
            *("PreconditionFailed", 412, self.s3.put_object), **name, Body=b"", IfNoneMatch="*"
        )

    def test_a_bucket_comes_with_its_replication_and_goes_when_it_is_empty(self):
        bucket = {"Bucket": "made-here"}
        where = {"LocationConstraint": TOKYO}
        self.s3.create_bucket(**bucket, CreateBucketConfiguration=where)
        names = [made["Name"] for made in self.s3.list_buckets()["Buckets"]]
        self.assertIn("made-here", names)
        self.s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Enabled"})
        rule = {
            "ID": "everything",
            "Status": "Enabled",
            "Priority": 1,
            "Filter": {"Prefix": ""},
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "Destination": {"Bucket": "arn:aws:s3:::orders-files-dr"},
        }
        role = f"arn:aws:iam::{HOME}:role/replication"
        rules = {"Role": role, "Rules": [rule]}
        self.s3.put_bucket_replication(**bucket, ReplicationConfiguration=rules)
        name = {**bucket, "Key": "made/one"}
        version = self.s3.put_object(**name, Body=b"1", Tagging="kind=paid")["VersionId"]
        tags = self.s3.get_object_tagging(**name)["TagSet"]
        self.assertEqual(tags, [{"Key": "kind", "Value": "paid"}])
        wait_for(lambda: self.s3.head_object(**name)["ReplicationStatus"] == "COMPLETED")
        replica = {"Bucket": "orders-files-dr", "Key": "made/one"}
        self.assertEqual(self.osaka.get_object(**replica)["Body"].read(), b"1")
        self.s3.delete_bucket_replication(**bucket)
        none = "ReplicationConfigurationNotFoundError"
        self.refuses(none, 404, self.s3.get_bucket_replication, **bucket)
        self.refuses("BucketNotEmpty", 409, self.s3.delete_bucket, **bucket)
        self.s3.delete_object(**name, VersionId=version)
        self.s3.delete_bucket(**bucket)
        self.refuses("NoSuchBucket", 404, self.s3.list_objects_v2, **bucket)

    def test_an_object_in_parts_is_there_when_they_are_put_together_and_not_when_given_up(self):
        name = {"Bucket": "orders-files", "Key": "parts/whole"}
        bodies = [b"a" * (5 << 20), b"b" * 1000]
        upload = self.s3.create_multipart_upload(**name)["UploadId"]
        parts = []
        for number, body in enumerate(bodies, start=1):
            of = {**name, "UploadId": upload, "PartNumber": number}
            parts.append({"PartNumber": number, "ETag": self.s3.upload_part(**of, Body=body)["ETag"]})
        self.refuses("404", 404, self.s3.head_object, **name)
        whole = {"Parts": parts}
        self.s3.complete_multipart_upload(**name, UploadId=upload, MultipartUpload=whole)
        read = self.s3.get_object(**name)
        self.assertEqual(read["Body"].read(), b"".join(bodies))
        self.assertTrue(read["ETag"].endswith('-2"'), read["ETag"])
        given_up = {"Bucket": "orders-files", "Key": "parts/never"}
        given_up["UploadId"] = self.s3.create_multipart_upload(**given_up)["UploadId"]
        self.s3.abort_multipart_upload(**given_up)
        self.refuses("NoSuchUpload", 404, self.s3.upload_part, **given_up, PartNumber=1, Body=b"x")

    def test_a_deleted_object_leaves_a_marker_and_its_versions(self):
        name = {"Bucket": "orders-files", "Key": "deleted/one"}
        versions = [self.s3.put_object(**name, Body=body)["VersionId"] for body in (b"1", b"22")]
        marker = self.s3.delete_object(**name)
        self.assertTrue(marker["DeleteMarker"])
        self.refuses("404", 404, self.s3.head_object, **name)
        listed = self.s3.list_object_versions(Bucket="orders-files", Prefix="deleted/")
        self.assertEqual([v["VersionId"] for v in listed["Versions"]], versions[::-1])
        self.assertEqual(
            [(m["VersionId"], m["IsLatest"]) for m in listed["DeleteMarkers"]],
            [(marker["VersionId"], True)],
        )
        old = self.s3.get_object(**name, VersionId=versions[0])
        self.assertEqual(old["Body"].read(), b"1")
        self.s3.delete_object(**name, VersionId=marker["VersionId"])
        self.assertEqual(self.s3.get_object(**name)["Body"].read(), b"22")

    def test_listings_come_in_pages_and_many_objects_are_deleted_at_once(self):
        keys = [f"many/{number:03}" for number in range(25)]
        for key in keys:
            self.s3.put_object(Bucket="orders-files", Key=key, Body=b"x")
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket="orders-files", Prefix="many/", PaginationConfig={"PageSize": 10}
        )
        listed = [[o["Key"] for o in page["Contents"]] for page in pages]
        self.assertEqual([len(page) for page in listed], [10, 10, 5])
        self.assertEqual(sum(listed, []), keys)
        folders = self.s3.list_objects_v2(Bucket="orders-files", Delimiter="/")["CommonPrefixes"]
        self.assertIn({"Prefix": "many/"}, folders)
        answer = self.s3.delete_objects(
            Bucket="orders-files", Delete={"Objects": [{"Key": key} for key in keys]}
        )
        self.assertEqual(len(answer["Deleted"]), 25)
        self.assertEqual(
            self.s3.list_objects_v2(Bucket="orders-files", Prefix="many/")["KeyCount"], 0
        )


def listed_operations():
    return [(service, name) for service, names in OPERATIONS.items() for name in names.split()]


def main():
    global endpoint
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--list":
        for service, name in listed_operations():
            print(service, name)
        return
    endpoint = sys.argv[1]
    result = unittest.main(argv=sys.argv[:1], exit=False).result
    not_called = [f"{s} {n}" for s, n in listed_operations() if (s, n) not in called]
    if not_called:
        print("never called:", ", ".join(not_called), file=sys.stderr)
    sys.exit(0 if result.wasSuccessful() and not not_called else 1)


if __name__ == "__main__":
    main()
