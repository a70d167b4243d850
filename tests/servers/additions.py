"""What moto lacks and a test cannot play by calls: a past, replication, snapshots of others.

    the past      what carries `moto-age` (whole seconds: a tag that a copy of an EBS or DB snapshot
                  is made with, the user metadata of an object) is that much older than it is
    replication   a bucket with the tag `moto-replicates` follows its rules: a new object is in the
                  destination at once, with the same version id and both statuses. Without the tag
                  moto keeps rules and does nothing
    composites    composite alarms can be made; their states are set by calls and follow no rule

moto must be 5.2.5: this extends its internals.
"""

import datetime

from moto.cloudwatch.responses import CloudWatchResponse
from moto.ec2.models.elastic_block_store import Snapshot
from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

AGE = "moto-age"
REPLICATES = "moto-replicates"


def age_of(marks: dict[str, str]) -> datetime.timedelta:
    """How much older something is than moto believes."""
    return datetime.timedelta(seconds=int(marks.get(AGE, 0)))


def permits(snapshot, account_id: str) -> bool:
    """Whether a DB snapshot is shared with an account."""
    return account_id in snapshot.attributes["restore"]


def extend_others() -> None:
    """All but RDS."""
    Snapshot.add_tags = add_tags
    S3Response.get_bucket_versioning = get_bucket_versioning
    S3Response.put_object = put_object
    # moto's own way for metric alarms takes a rule, too.
    CloudWatchResponse.put_composite_alarm = CloudWatchResponse.put_metric_alarm
    FakeKey.response_dict = property(response_dict)


def get_bucket_versioning(self):
    """With the root element of AWS: moto's own is another, which strict clients do not read."""
    status = self.backend.get_bucket_versioning(self.bucket_name)
    inside = f"<Status>{status}</Status>" if status else ""
    return (
        200,
        {"Content-Type": "application/xml"},
        '<?xml version="1.0" encoding="UTF-8"?>\n<VersioningConfiguration '
        f'xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inside}</VersioningConfiguration>',
    )


_add_tags = Snapshot.add_tags
_put_object = S3Response.put_object
_response_dict = FakeKey.response_dict.fget


def add_tags(self, tags):
    _add_tags(self, tags)
    self.start_time -= age_of(tags)


def response_dict(self):
    status = getattr(self, "replication_status", None)
    answer = _response_dict(self)
    return {**answer, "x-amz-replication-status": status} if status else answer


def put_object(self):
    answer = _put_object(self)
    bucket = self.backend.get_bucket(self.bucket_name)
    key = bucket.keys.getlist(self.parse_key_name())[-1]
    key.last_modified -= age_of({AGE: key.metadata.get(f"x-amz-meta-{AGE}", 0)})
    tags = self.backend.tagger.get_tag_dict_for_resource(bucket.arn)
    rules = (self.backend.get_bucket_replication(self.bucket_name) or {}).get("Rule", [])
    if REPLICATES in tags:
        for rule in rules:
            if rule["Status"] == "Enabled" and key.name.startswith(_prefix(rule)):
                _replicate(self.backend, key, rule["Destination"]["Bucket"].rsplit(":", 1)[1])
    return answer


def _prefix(rule) -> str:
    return (rule.get("Filter") or {}).get("Prefix") or ""


def _replicate(backend, key: FakeKey, destination: str) -> None:
    bucket = backend.get_bucket(destination)
    replica = FakeKey(
        name=key.name,
        value=key.value,
        account_id=bucket.account_id,
        region_name=bucket.region_name,
        etag=key.etag.strip('"'),
        is_versioned=True,
        version_id=key.version_id,
        bucket_name=bucket.name,
        checksum_value=key.checksum_value,
    )
    replica.set_metadata(dict(key.metadata))
    replica.last_modified = key.last_modified
    replica.checksum_algorithm = key.checksum_algorithm
    key.replication_status, replica.replication_status = "COMPLETED", "REPLICA"
    bucket.keys.setlist(key.name, bucket.keys.getlist(key.name, []) + [replica])
