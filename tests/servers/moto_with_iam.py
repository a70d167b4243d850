"""moto's server with IAM enforced, as far as moto can: every call needs an action that a policy of its caller allows.

moto checks actions, and for S3 the resource as well. Of other services it does not know on which resource a call works
("*"), so that a statement which names resources would never match: here it does. Conditions of permission policies are
not checked. Actions that AWS asks for besides a call (kms:CreateGrant, rds:AddTagsToResource ...) are not asked for.

Nothing is enforced until `POST /moto-api/reset-auth` says so; `iam_users.py` makes users and then does that.
"""

import argparse
from pathlib import Path

from moto.iam.access_control import IAMPolicyStatement
from moto.rds import models as rds
from moto.rds.responses import RDSResponse
from moto.s3 import responses as s3
from additions import get_bucket_versioning
from moto_with_postgres import describe_db_engine_versions, serve

check_element = IAMPolicyStatement._check_element_matches


def check_element_matches(self, element: str, value: str) -> bool:
    if element == "Resource" and value == "*":
        return True
    return bool(check_element(self, element, value))


class Instance(rds.DBInstance):
    """AWS always says it; moto forgets it when a request says false, or nothing."""

    # moto registers its classes by the name of their module.
    __module__ = rds.__name__

    def __init__(self, backend, **kwargs):
        super().__init__(backend, **kwargs)
        self.publicly_accessible = bool(self.publicly_accessible)


def enforce() -> None:
    rds.DBInstance = Instance
    RDSResponse.describe_db_engine_versions = describe_db_engine_versions
    IAMPolicyStatement._check_element_matches = check_element_matches
    s3.S3Response.get_bucket_versioning = get_bucket_versioning
    # moto takes these for other actions than S3 does.
    s3.ACTION_MAP["BUCKET"]["GET"] = {
        "replication": "GetReplicationConfiguration",
        **s3.ACTION_MAP["BUCKET"]["GET"],
    }
    s3.ACTION_MAP["KEY"]["HEAD"] = {
        "versionId": "GetObjectVersion",
        **s3.ACTION_MAP["KEY"]["HEAD"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address-file", type=Path, help="gets the address, once it is served")
    arguments = parser.parse_args()
    enforce()
    serve(0, arguments.address_file)


if __name__ == "__main__":
    main()
