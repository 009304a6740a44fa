"""What a machine's metadata server says of its end, and what is no answer."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from raysweep.engine.ray.cluster import providers
from raysweep.engine.ray.cluster.providers import Aws, Gcp, NoMetadata, Provider, provider_named
from raysweep.errors import UnknownName, UsageError
from tests.engine.ray.cluster.metadata_server import ACTION, MAINTENANCE, PREEMPTED, TOKEN, metadata_server
from tests.patience import PATIENCE

END = datetime(2026, 9, 18, 8, 22, tzinfo=UTC)
NOTICE = '{"action": "terminate", "time": "2026-09-18T08:22:00Z"}'


@pytest.fixture
def server(monkeypatch):
    """A server of both providers for a machine that goes on; requests to it go past the proxy that a machine names."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with metadata_server() as server:
        server.answers = {PREEMPTED: (200, "FALSE"), MAINTENANCE: (200, "NONE\n")}
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.port}/")
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.port}")
        monkeypatch.setattr(providers, "ANSWER_SECONDS", PATIENCE)
        yield server


def test_a_machine_that_goes_on_has_no_announced_end(server):
    for provider in (Aws(), Gcp()):
        provider.require_answer()
        assert provider.announced() is None
    server.answers[MAINTENANCE] = 200, "MIGRATE_ON_HOST_MAINTENANCE"
    assert Gcp().announced() is None


def test_aws_announces_the_time_of_the_end(server):
    server.answers[ACTION] = 200, NOTICE
    announced = Aws().announced()
    assert announced is not None and announced.until == END.timestamp()
    assert announced.what == "terminate at 2026-09-18T08:22:00Z"


def test_a_token_of_aws_is_kept_and_renewed_once_it_has_expired(server):
    aws = Aws()
    aws.announced(), aws.announced()
    assert server.asked == [f"PUT {TOKEN}", f"GET {ACTION}", f"GET {ACTION}"]
    server.tokens.clear()
    assert aws.announced() is None
    assert server.asked[3:] == [f"GET {ACTION}", f"PUT {TOKEN}", f"GET {ACTION}"]


@pytest.mark.parametrize(
    ("path", "answer", "gpu", "seconds"),
    [
        (PREEMPTED, "TRUE", False, 30),
        (MAINTENANCE, "TERMINATE_ON_HOST_MAINTENANCE", False, 60),
        (MAINTENANCE, "TERMINATE_ON_HOST_MAINTENANCE", True, 3600),
    ],
)
def test_google_announces_an_end_whose_time_is_known_by_its_kind(server, monkeypatch, path, answer, gpu, seconds):
    monkeypatch.setattr(providers.Path, "exists", lambda path: gpu)
    server.answers[path] = 200, answer
    before = time.time()
    announced = Gcp().announced()
    assert announced is not None and before <= announced.until - seconds <= time.time()


@pytest.mark.parametrize(
    ("provider", "path", "answer"),
    [
        (Aws, TOKEN, (403, "")),
        (Aws, TOKEN, (200, "<html>\nlog in")),
        (Aws, ACTION, (500, "")),
        (Aws, ACTION, (200, "<html>")),
        (Aws, ACTION, (200, '["terminate"]')),
        (Aws, ACTION, (200, '{"action": "terminate"}')),
        (Aws, ACTION, (200, '{"action": "terminate", "time": "soon"}')),
        (Gcp, PREEMPTED, (404, "")),
        (Gcp, PREEMPTED, (200, "<html>")),
        (Gcp, MAINTENANCE, (200, "SOMETHING_NEW")),
    ],
)
def test_an_answer_that_is_not_as_documented_is_none(server, monkeypatch, provider, path, answer):
    monkeypatch.setattr(providers.time, "sleep", lambda seconds: None)
    server.answers[path] = answer
    shown = repr(answer[1]) if answer[0] == 200 else answer[0]
    with pytest.raises(NoMetadata) as told:
        provider().announced()
    assert str(told.value) == f"the metadata server answered http://127.0.0.1:{server.port}{path} with {shown}"
    with pytest.raises(UsageError, match="give the provider of this machine"):
        provider().require_answer()


@pytest.mark.parametrize("provider", [Aws, Gcp])
def test_a_server_that_does_not_answer_is_named_with_the_way_out(monkeypatch, provider: type[Provider]):
    monkeypatch.setattr(providers.time, "sleep", lambda seconds: None)
    with metadata_server() as server:
        port = server.port
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{port}")
    with pytest.raises(UsageError) as refused:
        provider().require_answer()
    assert str(refused.value) == (
        f"the metadata server http://127.0.0.1:{port} doesn't answer ([Errno 111] Connection refused); `raysweep "
        f"watch-spot` runs on machines of {provider.title} with their metadata server turned on, or where "
        f"{provider.variable} names one: give the provider of this machine, or leave the command out"
    )


def test_an_endpoint_that_is_no_url_is_told_alike(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "localhost")
    with pytest.raises(NoMetadata, match=r"localhost doesn't answer \(unknown url type"):
        Aws().announced()


def test_of_a_provider_nobody_knows_the_known_ones_are_named():
    with pytest.raises(UnknownName, match="known: aws, gcp"):
        provider_named("azure")
