"""Fills a moto server for the tests of IAM policies, and then has it enforce them.

Standard input is JSON: {"users": {NAME: POLICY}, "roles": {NAME: {"policy": POLICY, "trust": POLICY}}, "snapshot": PATH}.
Standard output is JSON: {NAME: [ACCESS KEY, SECRET KEY]} of the users.
"""

import json
import sys
import urllib.request

import boto3
from botocore.config import Config

HOME, DR = "eu-west-3", "eu-north-1"


def client(service: str, region: str = HOME):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
    )


def make_estate(snapshot: str) -> None:
    """What the scenario of server_iam.rs finds: a volume, a database, a file in S3, and two buckets."""
    ec2, rds, s3 = client("ec2"), client("rds"), client("s3")
    zone = f"{HOME}a"
    volume = ec2.create_volume(Size=1, AvailabilityZone=zone)["VolumeId"]
    made = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    tags = [{"Key": "app", "Value": "files"}, {"Key": "data-time", "Value": "2026-01-01T00:00:00Z"}]
    ec2.create_tags(Resources=[made], Tags=tags)
    rds.create_db_instance(
        DBInstanceIdentifier="orders",
        Engine="postgres",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=5,
        MasterUsername="keeper",
        MasterUserPassword="not-a-secret-1",
    )
    rds.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier="orders-1")
    for name, region in (("uploads-iam", HOME), ("uploads-iam-dr", DR)):
        at = client("s3", region)
        place = {"LocationConstraint": region}
        at.create_bucket(Bucket=name, CreateBucketConfiguration=place)
        versions = {"Status": "Enabled"}
        at.put_bucket_versioning(Bucket=name, VersioningConfiguration=versions)
    rule = {
        "ID": "all",
        "Status": "Enabled",
        "Priority": 1,
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": "arn:aws:s3:::uploads-iam-dr"},
    }
    rules = {"Role": "arn:aws:iam::123456789012:role/replication", "Rules": [rule]}
    s3.put_bucket_replication(Bucket="uploads-iam", ReplicationConfiguration=rules)
    s3.put_object(Bucket="uploads-iam", Key="uploads/1", Body=b"one")
    with open(snapshot, "rb") as file:
        s3.put_object(Bucket="uploads-iam", Key="etcd/latest.db", Body=file.read())


def main() -> None:
    wanted = json.load(sys.stdin)
    make_estate(wanted["snapshot"])
    iam, keys = client("iam"), {}
    for name, policy in wanted["users"].items():
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys[name] = [key["AccessKeyId"], key["SecretAccessKey"]]
    for name, role in wanted["roles"].items():
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(role["trust"]))
        document = json.dumps(role["policy"])
        iam.put_role_policy(RoleName=name, PolicyName="only", PolicyDocument=document)
    # From now on.
    plain = {"Content-Type": "text/plain"}
    url = f"{sys.argv[1]}/moto-api/reset-auth"
    urllib.request.urlopen(urllib.request.Request(url, b"0", plain, method="POST"))
    json.dump(keys, sys.stdout)


if __name__ == "__main__":
    main()
