"""Submits a command as a Ray job over HTTP to a cluster's dashboard, follows its log and returns its exit code.

Ray's client waits for ever where nothing answers. So the dashboard is first queried with a time limit, and again
whenever the log of a job is silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shlex
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tenacity import Retrying, retry_if_exception, retry_if_exception_message, stop_after_delay, wait_fixed
from typing_extensions import override

from raysweep.engine.ray.cluster.probe import TIMEOUT_SECONDS
from raysweep.engine.ray.jobs.failures import STOPPED, Ended, end_of
from raysweep.errors import RaysweepError, UsageError

SILENT_SECONDS = 10.0
"""Seconds without a line of the log after which the dashboard is asked about the job."""
LOST_SECONDS = 60.0
"""Seconds without an answer of the dashboard after which the cluster is taken for lost."""
STARTING_SECONDS = 30.0
"""Seconds that the agent which starts jobs may come up after the dashboard."""
OVERRIDES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Environment variables that Ray's client uses in place of the address that it is given; the first one wins."""
CHATTERERS = ("ray._private.runtime_env", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")
"""Loggers of Ray's client: they advise on excludes and large files, as upload.py does, and report connections."""
NO_ANSWER = (OSError, ValueError, HTTPException)
"""Errors of a query: no connection or an HTTP status, no JSON, no HTTP."""
TOKEN = "put the cluster's token into ~/.ray/auth_token or RAY_AUTH_TOKEN"
HINT = "give the URL of the head's dashboard, http://HEAD:8265 unless chosen otherwise"
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")

log = logging.getLogger("raysweep")


@dataclass(frozen=True)
class RayJob:
    """A command to run on a cluster. `address`: URL of the dashboard; `folder`: what is uploaded and where it runs."""

    address: str
    folder: Path
    entrypoint: tuple[str, ...]
    excludes: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def runtime_env(self) -> dict[str, Any]:
        parts = {"excludes": list(self.excludes), "env_vars": dict(self.environment)}
        return {name: part for name, part in parts.items() if part}

    @property
    def command(self) -> str:
        words = ["ray", "job", "submit", "--address", self.address, "--working-dir", str(self.folder)]
        if self.runtime_env:
            words += ["--runtime-env-json", json.dumps(self.runtime_env)]
        return shlex.join([*words, "--", *self.entrypoint])


class Gone(RaysweepError):
    """The dashboard stopped answering, or forgot the job, while it was followed."""


def dashboard_url(address: str | None) -> str:
    """Return the URL of a dashboard, as given or from RAY_API_SERVER_ADDRESS; raise UsageError if it is none."""
    url = (address or os.environ.get(OVERRIDES[0]) or "").strip().rstrip("/")
    if not url:
        raise UsageError(f"name the cluster with --address: {HINT}")
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "http", url
    if scheme not in ("http", "https") or not rest or url in ("auto", "local"):
        raise UsageError(f"jobs can't be submitted to --address {url!r}; {HINT}")
    return f"{scheme}://{rest}"


def require_job_server(address: str) -> None:
    """Raise UsageError unless the dashboard at a URL answers within seconds and accepts this machine's token."""
    for name in OVERRIDES:
        if there := os.environ.get(name):
            if there.rstrip("/") == address:
                break
            raise UsageError(f"{name} is set to {there}, which Ray's client uses in place of --address; unset it")
    from ray.exceptions import AuthenticationError

    try:
        answer = _get(address, "/api/version", TIMEOUT_SECONDS)
    except AuthenticationError:
        raise UsageError(f"RAY_AUTH_MODE=token is set, and this machine has no token; {TOKEN}") from None
    except NO_ANSWER as error:
        raise UsageError(_refused(address, error)) from None
    if "ray_version" not in answer:
        raise UsageError(f"what answers at {address} is not the dashboard of a Ray; {HINT}")


def submit(job: RayJob) -> str:
    """Upload the job's folder, start the job and return its id; raise RaysweepError if the cluster refused it."""
    from ray.job_submission import JobSubmissionClient

    for name in CHATTERERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    environment = {**job.runtime_env, "working_dir": str(job.folder)}
    is_starting = retry_if_exception_message(match=r"(?s).*try again later")
    retrying = Retrying(retry=is_starting, stop=stop_after_delay(STARTING_SECONDS), wait=wait_fixed(1), reraise=True)
    asked = {"entrypoint": shlex.join(job.entrypoint), "runtime_env": environment}
    try:
        return str(retrying(lambda: JobSubmissionClient(job.address).submit_job(**asked)))
    except (RuntimeError, OSError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        words = lines[-1].strip() if lines else type(error).__name__
        raise RaysweepError(f"the Ray at {job.address} did not take the job: {words}") from error


def follow(address: str, job_id: str) -> Iterator[str]:
    """Yield the log of a job from its beginning, as it is written, until the job ends.

    A connection that breaks is made again, and nothing is yielded twice. Where the log can't be followed, such as
    through a proxy without websockets, a line says so, and the log comes when the job has ended.

    Raises:
        Gone: the dashboard has not answered for a minute, or knows the job no longer.
    """
    yielded, is_warned = 0, False
    while True:
        skip = before = yielded
        is_whole = False
        try:
            for text in _tail(address, job_id):
                new, skip = text[skip:], max(0, skip - len(text))
                yielded += len(new)
                if new:
                    yield new
            is_whole = True
        except Gone:
            raise
        except Exception as error:  # of whatever Ray's client follows it with
            if yielded == before and not is_warned:
                log.warning(
                    "the log of job %s can't be followed at present (%s: %s); the job is waited for",
                    job_id,
                    type(error).__name__,
                    error,
                )
                is_warned = True
        if _info(address, job_id)["status"] in _ENDED:
            if not is_whole:
                yield _whole_log(address, job_id)[yielded:]
            return
        time.sleep(1)


def wait(address: str, job_id: str) -> Ended:
    while (info := _info(address, job_id))["status"] not in _ENDED:
        time.sleep(0.5)
    return end_of(info)


def finished(job: RayJob, seconds: float) -> tuple[Ended, str]:
    """Return how a short job ended, and its log; stop it after `seconds`. Raise RaysweepError if it was refused."""
    from ray.job_submission import JobSubmissionClient

    job_id, deadline = submit(job), time.monotonic() + seconds
    while (info := _info(job.address, job_id))["status"] not in _ENDED:
        if time.monotonic() > deadline:
            JobSubmissionClient(job.address).stop_job(job_id)
            return Ended(STOPPED, f"it took more than {seconds:.0f} s"), ""
        time.sleep(0.5)
    return end_of(info), _whole_log(job.address, job_id)


def _tail(address: str, job_id: str) -> Iterator[str]:
    """Yield pieces of a job's log; end when the log ends, or is silent although the job has ended."""
    from ray.job_submission import JobSubmissionClient

    async def next_of(pieces: AsyncIterator[str]) -> str | None:
        return await anext(pieces, None)

    loop = asyncio.new_event_loop()
    pieces: Any = JobSubmissionClient(address).tail_job_logs(job_id)
    task: asyncio.Task[str | None] | None = None
    try:
        while True:
            task = loop.create_task(next_of(pieces))
            while not loop.run_until_complete(asyncio.wait({task}, timeout=SILENT_SECONDS))[0]:
                if _info(address, job_id)["status"] in _ENDED:
                    return
            text = task.result()
            if text is None:
                return
            yield text
    finally:
        if task is not None and not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        loop.run_until_complete(pieces.aclose())
        loop.close()


def _whole_log(address: str, job_id: str) -> str:
    try:
        return str(_get(address, f"/api/jobs/{job_id}/logs", TIMEOUT_SECONDS)["logs"])
    except (*NO_ANSWER, KeyError) as error:
        log.warning(
            "the log of job %s can't be read (%s); `ray job logs --address %s %s` may show it",
            job_id,
            error,
            address,
            job_id,
        )
        return ""


def _info(address: str, job_id: str) -> Mapping[str, Any]:
    """Return what Ray knows of a job; raise Gone after a minute without an answer, or if it knows none."""
    is_silent = retry_if_exception(lambda error: isinstance(error, NO_ANSWER) and getattr(error, "code", 0) != 404)
    retrying = Retrying(retry=is_silent, stop=stop_after_delay(LOST_SECONDS), wait=wait_fixed(1), reraise=True)
    try:
        return retrying(_get, address, f"/api/jobs/{job_id}", TIMEOUT_SECONDS)
    except NO_ANSWER as error:
        if getattr(error, "code", None) == 404:
            raise Gone(
                f"the Ray at {address} knows no job {job_id}, so it was started anew; give the same command again: "
                "it resumes"
            ) from None
        raise Gone(
            f"the dashboard at {address} stopped answering ({getattr(error, 'reason', error)}); if it comes "
            f"back, `ray job logs --address {address} --follow {job_id}` shows the job, else give the same "
            "command again: it resumes"
        ) from None


class TokenKeeper(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to another host, or away from https, without the token, which `urllib` would send along."""

    @override
    def redirect_request(self, req: Any, *answer: Any) -> Any:
        request = super().redirect_request(req, *answer)
        if request is not None and (request.host != req.host or request.type < req.type):  # http after https
            request.headers.clear()
        return request


def _get(address: str, path: str, timeout: float) -> dict[str, Any]:
    from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled

    request = urllib.request.Request(address + path, headers=get_auth_headers_if_auth_enabled({}))
    with urllib.request.build_opener(TokenKeeper).open(request, timeout=timeout) as answer:
        content = json.loads(answer.read())
    if not isinstance(content, dict):
        raise ValueError(f"{address}{path} gave no JSON object")
    return content


def _refused(address: str, error: Exception) -> str:
    status = getattr(error, "code", None)
    if status == 401:
        return f"the Ray at {address} wants a token, and got none; set RAY_AUTH_MODE=token, and {TOKEN}"
    if status == 403:
        return f"the Ray at {address} refused this machine's token; {TOKEN}"
    if status is not None or isinstance(error, ValueError | HTTPException):
        return f"what answers at {address} is not the dashboard of a Ray; {HINT}"
    reason = getattr(error, "reason", error)
    words = "no answer in time" if isinstance(reason, TimeoutError) else getattr(reason, "strerror", None) or reason
    return (
        f"no dashboard of Ray answers at {address}: {words}; {HINT}. `ray dashboard CLUSTER.yaml` in another shell "
        "makes that of a cluster of `ray up` http://localhost:8265"
    )
