"""Asks the metadata server of a cloud's machine whether the machine's end is announced.

AWS: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html, by its second version
of the service (IMDSv2). Its recommendation to rebalance is no end. Google Cloud:
https://cloud.google.com/compute/docs/instances/spot and https://cloud.google.com/compute/docs/gpus/gpu-host-maintenance.
The servers are found as AWS's and Google's own libraries find them, by AWS_EC2_METADATA_SERVICE_ENDPOINT (an URL) and
GCE_METADATA_HOST (host:port).
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from typing_extensions import override

from raysweep.errors import RaysweepError, UnknownName, UsageError

ANSWER_SECONDS = 2.0
START_ATTEMPTS = 3
"""Requests to a server that hasn't answered yet, a pause of `ANSWER_SECONDS` between two."""
TOKEN_SECONDS = 21_600
"""The longest that AWS allows."""
PREEMPTION_SECONDS = 30.0
MAINTENANCE_SECONDS, MAINTENANCE_SECONDS_WITH_GPU = 60.0, 3600.0
"""From Google's notices to the end of the machine; they don't tell it themselves."""


class NoMetadata(RaysweepError):
    """A metadata server is silent, or answers otherwise than its provider's documentation says."""


@dataclass(frozen=True)
class Announced:
    """The announced end of this machine. `what`: in the provider's words; `until`: in seconds since the epoch."""

    what: str
    until: float


class Provider(ABC):
    """A cloud's metadata server. `title`: the cloud's name; `variable`: names another server."""

    title: str
    variable: str
    server: str

    @abstractmethod
    def announced(self) -> Announced | None:
        """Return the announced end of this machine, None if there is none; raise NoMetadata."""

    def require_answer(self) -> None:
        """Raise UsageError if this machine isn't the provider's: its metadata server doesn't answer as documented."""
        for attempt in range(START_ATTEMPTS):
            try:
                self.announced()
                return
            except NoMetadata as error:
                why = str(error)
            if attempt < START_ATTEMPTS - 1:
                time.sleep(ANSWER_SECONDS)
        raise UsageError(
            f"{why}; `raysweep watch-spot` runs on machines of {self.title} with their metadata server turned on, or "
            f"where {self.variable} names one: give the provider of this machine, or leave the command out"
        )

    def ask(self, path: str, headers: Mapping[str, str], method: str = "GET") -> tuple[int, str]:
        """Return the status and the text of an answer."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has another machine's metadata
        try:
            request = urllib.request.Request(self.server + path, headers=dict(headers), method=method)
            with direct.open(request, timeout=ANSWER_SECONDS) as answer:
                return answer.status, answer.read().decode("utf-8", "replace").strip()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise NoMetadata(f"the metadata server {self.server} doesn't answer ({reason})") from None

    def unexpected(self, path: str, answer: object) -> NoMetadata:
        return NoMetadata(f"the metadata server answered {self.server}{path} with {answer!r:.80}")


class Aws(Provider):
    """AWS gives notice two minutes before it ends or stops a spot machine; one that hibernates does so at once."""

    title, variable = "AWS", "AWS_EC2_METADATA_SERVICE_ENDPOINT"
    _ACTION, _TOKEN = "/latest/meta-data/spot/instance-action", "/latest/api/token"

    def __init__(self) -> None:
        self.server = (os.environ.get(self.variable) or "http://169.254.169.254").rstrip("/")
        self._token = ""

    @override
    def announced(self) -> Announced | None:
        for is_new in (False, True):
            if is_new or not self._token:
                self._token = self._new_token()
            status, text = self.ask(self._ACTION, {"X-aws-ec2-metadata-token": self._token})
            if status != 401:  # 401: the token has expired
                break
        if status == 404:
            return None
        if status != 200:
            raise self.unexpected(self._ACTION, status)
        try:
            notice = json.loads(text)
            end = datetime.fromisoformat(notice["time"])
            until = (end if end.tzinfo else end.replace(tzinfo=UTC)).timestamp()
            return Announced(f"{notice['action']} at {notice['time']}", until)
        except (ValueError, TypeError, KeyError):
            raise self.unexpected(self._ACTION, text) from None

    def _new_token(self) -> str:
        status, text = self.ask(self._TOKEN, {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}, "PUT")
        if status != 200 or not text.isprintable():
            raise self.unexpected(self._TOKEN, text if status == 200 else status)
        return text


class Gcp(Provider):
    """Google gives notice of a spot machine's end, and of maintenance for which machines with GPUs are ended."""

    title, variable = "Google Cloud", "GCE_METADATA_HOST"

    def __init__(self) -> None:
        self.server = f"http://{os.environ.get(self.variable) or 'metadata.google.internal'}"

    @override
    def announced(self) -> Announced | None:
        if self._value("preempted", "FALSE", "TRUE") == "TRUE":
            return Announced("preempted", time.time() + PREEMPTION_SECONDS)
        event = self._value("maintenance-event", "NONE", "MIGRATE_ON_HOST_MAINTENANCE", "TERMINATE_ON_HOST_MAINTENANCE")
        if event != "TERMINATE_ON_HOST_MAINTENANCE":
            return None
        has_gpu = Path("/dev/nvidia0").exists()
        return Announced(event, time.time() + (MAINTENANCE_SECONDS_WITH_GPU if has_gpu else MAINTENANCE_SECONDS))

    def _value(self, name: str, *known: str) -> str:
        path = f"/computeMetadata/v1/instance/{name}"
        status, text = self.ask(path, {"Metadata-Flavor": "Google"})
        if status != 200 or text not in known:
            raise self.unexpected(path, text if status == 200 else status)
        return text


PROVIDERS: Mapping[str, type[Provider]] = {"aws": Aws, "gcp": Gcp}


def provider_named(name: str) -> Provider:
    if name not in PROVIDERS:
        raise UnknownName("provider", name, PROVIDERS)
    return PROVIDERS[name]()
