"""The roles that clusters/aws-roles.sh makes, in moto's IAM, which reads policies as AWS does."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.paths import REPO

pytestmark = pytest.mark.slow

CLI = """#!{python} -S
import re, sys, urllib.error, urllib.parse, urllib.request
service, command, *options = sys.argv[1:]
camel = lambda name: "".join(part.title() for part in name.removeprefix("--").split("-"))
given = dict(zip(map(camel, options[::2]), options[1::2]))
query = given.pop("Query", None)
given.pop("Output", None)
asked = urllib.request.Request("{url}", urllib.parse.urlencode({{"Action": camel(command), **given}}).encode())
signed = f"AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/{{service}}/aws4_request"
asked.add_header("Authorization", signed + ", SignedHeaders=host, Signature=0")
try:
    answer = urllib.request.urlopen(asked).read().decode()
except urllib.error.HTTPError as error:
    sys.exit(error.read().decode())
if query:
    print(re.search(f"<{{query}}>(.*?)</{{query}}>", answer)[1])
"""
"""The few commands of AWS's command line that the file gives, passed on to a server."""


@pytest.fixture
def aws(tmp_path, monkeypatch):
    """Return a client of IAM, and put an `aws` that asks the same server on the path."""
    server = pytest.importorskip("moto.server", reason="needs moto[server]").ThreadedMotoServer(port=0, verbose=False)
    boto3 = pytest.importorskip("boto3")
    from moto.iam.models import iam_backends

    iam_backends.reset()  # one for all servers of a process
    server.start()
    host, port = server.get_host_and_port()
    command = tmp_path / "aws"
    command.write_text(CLI.format(python=sys.executable, url=f"http://{host}:{port}"))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    yield boto3.client("iam", endpoint_url=f"http://{host}:{port}", region_name="us-west-2")
    server.stop()


def make_the_roles() -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", REPO / "clusters" / "aws-roles.sh", "results"], capture_output=True, text=True)


def test_the_head_may_give_its_workers_a_role_that_reads_and_writes_the_bucket(aws):
    from ray.autoscaler._private.aws.config import DEFAULT_RAY_IAM_ROLE

    done = make_the_roles()
    assert done.returncode != 0 and "ray-autoscaler-v1" in done.stderr, "before the first `ray up` it is missing"

    aws.create_role(RoleName=DEFAULT_RAY_IAM_ROLE, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17"}))
    for _ in range(2):  # the second time everything is there
        done = make_the_roles()
        assert done.returncode == 0, done.stderr
    (told,) = done.stdout.splitlines()
    account = told.rpartition(" ")[2]
    (profile,) = aws.list_instance_profiles()["InstanceProfiles"]
    wanted = (REPO / "clusters" / "aws.yaml").read_text()
    assert profile["Arn"].replace(account, "ACCOUNT") in wanted
    (role,) = profile["Roles"]
    head = aws.get_role_policy(RoleName=DEFAULT_RAY_IAM_ROLE, PolicyName="gives-raysweep-worker")["PolicyDocument"]
    (may,) = head["Statement"]
    assert (may["Effect"], may["Action"], may["Resource"]) == ("Allow", "iam:PassRole", role["Arn"])
    own = aws.get_role_policy(RoleName=role["RoleName"], PolicyName="bucket")["PolicyDocument"]["Statement"]
    assert [one["Resource"] for one in own] == ["arn:aws:s3:::results", "arn:aws:s3:::results/*"]
