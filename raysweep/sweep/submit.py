"""Prepares `raysweep submit`: a Ray job that runs `raysweep run` on a cluster, checked as far as this machine can.

Checked before anything is sent: the storage, the files that the config names, the size of the upload, and that no
secret stands in what Ray shows to everyone who sees its dashboard. Before the sweep's job starts, a short one asks the
cluster's nodes what they lack: what this machine lacks doesn't matter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.execution.pool import require_permission
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions.needs_planner import doubtful_types
from raysweep.storage.store import is_temporary_in_job
from raysweep.units import count, size

if TYPE_CHECKING:
    from raysweep.engine.ray.jobs.failures import Ended
    from raysweep.engine.ray.jobs.submission import RayJob

PASSED_ON = ("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_REGION", "HF_ENDPOINT", "HF_HUB_OFFLINE", "OPENAI_BASE_URL")
"""Variables that a job gets if this shell has them: which services there are, and how to reach them."""
KEPT_HERE = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "OPENAI_API_KEY")
"""Secrets that a job may need: they are never sent, and the user is warned of that."""
_SECRET_NAME = re.compile(r"TOKEN(_|$)|SECRET|PASSW|CREDENTIAL|(^|_)(API)?KEY(_|$)", re.IGNORECASE)
_WHERE_SECRETS_GO = "set it where Ray is started on the nodes, or give the nodes a role of the cloud"


@dataclass(frozen=True)
class Submission:
    """A job that is ready to be sent."""

    job: RayJob
    config: str  # path of its file below the job's folder
    overrides: tuple[str, ...]  # values of ``--set``
    storage: str  # of the sweep, a folder or URI
    uploaded: str  # what, in words
    notes: tuple[str, ...]  # what to know before it is sent, one sentence each
    missing: tuple[str, ...] = ()  # what the config names and this machine lacks, a line each

    def check_nodes(self) -> list[str]:
        """Ask the live nodes what they lack, by a job of some seconds; return lines for the user if they can't tell.

        Raises:
            UsageError: no cluster answers; or nodes lack something that the config names.
            RaysweepError: the cluster refuses jobs.
        """
        from raysweep.engine.ray.jobs.node_check import NodesUnasked, lacking_there
        from raysweep.engine.ray.jobs.submission import require_job_server

        require_job_server(self.job.address)
        try:
            lacking = lacking_there(self.job, self.config, self.overrides)
        except NodesUnasked as error:
            here = [f"not here, so it must be there: {line}" for line in self.missing]
            return [f"the cluster's nodes could not be asked what they lack: {error}", *here]
        if lacking:
            raise UsageError("\n  ".join(["nodes lack what the config names, so no sweep was started:", *lacking]))
        return []

    def send(self) -> str:
        """Start the job and return its id; raise RaysweepError if the cluster refuses it."""
        from raysweep.engine.ray.jobs.submission import submit

        return submit(self.job)

    def log(self, job_id: str) -> Iterator[str]:
        from raysweep.engine.ray.jobs.submission import follow

        return follow(self.job.address, job_id)

    def end(self, job_id: str) -> Ended:
        from raysweep.engine.ray.jobs.submission import wait

        return wait(self.job.address, job_id)


def prepare(
    file: Path,
    config: SweepConfig,
    address: str | None,
    storage: str | None,
    options: Sequence[str] = (),
    variables: Sequence[str] = (),
    overrides: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> Submission:
    """Check a sweep, and what it uploads; raise UsageError if the job can't run or shows a secret.

    `config`: what `file`, below the current folder, says with `overrides`; loaded by a relative path. `address`: URL of
    the cluster's dashboard; None: RAY_API_SERVER_ADDRESS. `storage`: None: RAYSWEEP_STORAGE. `options`: what follows
    CONFIG and --storage in `raysweep run`, overrides included. `variables`: for the job, NAME=VALUE or NAME (its value
    here). `missing`: what the config names and this machine lacks, a line each.
    """
    from raysweep.engine.ray.jobs.submission import RayJob, dashboard_url
    from raysweep.engine.ray.jobs.upload import find_upload, require_small

    build_plan(config, tolerant=True)
    require_permission(config.allow_code_execution)
    url, store = dashboard_url(address), _storage(storage)
    environment = _environment(variables)
    upload = find_upload(Path())
    config_there = _below(file, upload.folder)
    if config_there is None:
        raise UsageError(
            f"config {str(file)!r} lies outside of {upload.folder}, which is what is uploaded; give the command in a "
            "folder that holds the config and the data that it names"
        )
    if config_there not in upload.files:
        raise UsageError(f"config {str(file)!r} is not uploaded, since .gitignore or .rayignore leaves it out")
    require_small(upload)
    _require_uploaded(config, upload.folder, upload.files)
    entrypoint = ("raysweep", "run", config_there, "--storage", store, *options)
    job = RayJob(url, Path(), entrypoint, upload.excludes, tuple(sorted(environment.items())))
    words = f"{count(len(upload.files), 'file')}, {size(upload.size)}"
    doubts = [f"no known accelerator is called {name}" for name in doubtful_types(config)]
    notes = [*doubts, *_notes(environment), *_not_uploaded(config, upload.folder, upload.files)]
    return Submission(job, config_there, tuple(overrides), store, words, tuple(notes), tuple(missing))


def nodes_answer(config: Path, overrides: Sequence[str]) -> str:
    """Return what the live nodes of the running Ray lack of what a config names, as `check_nodes` reads it."""
    from raysweep.config.schema import RayConfig
    from raysweep.engine.ray.cluster.asking import missing_on_nodes
    from raysweep.engine.ray.cluster.cluster import Cluster
    from raysweep.engine.ray.cluster.nodes import nodes_by_id
    from raysweep.engine.ray.jobs.node_check import answer_line

    cluster = Cluster(RayConfig(), "auto")
    cluster.start()
    try:
        return answer_line(missing_on_nodes(nodes_by_id(), str(config), overrides))
    finally:
        cluster.stop()


def _storage(option: str | None) -> str:
    storage = option or os.environ.get("RAYSWEEP_STORAGE") or ""
    if not storage.strip():
        raise UsageError(
            "name the store that every node reaches: --storage with a folder on a shared disk, or an object store "
            "(s3://bucket/folder)"
        )
    if is_temporary_in_job(storage):
        raise UsageError(
            f"storage {storage!r} would lie in the job's folder, which Ray removes; name an absolute path that every "
            "node sees, or an object store (s3://bucket/folder)"
        )
    if _has_password(storage):
        raise UsageError(f"the storage has a password in it, which Ray would show to everyone; {_WHERE_SECRETS_GO}")
    return storage


def _environment(variables: Sequence[str]) -> dict[str, str]:
    """Return the job's variables: those given, and those that are passed on; raise UsageError for a secret."""
    environment = {name: value for name in PASSED_ON if (value := os.environ.get(name)) and not _has_password(value)}
    for variable in variables:
        name, equals, value = variable.partition("=")
        if not equals and name not in os.environ:
            raise UsageError(f"--env {name}: this shell has no such variable; write --env {name}=VALUE")
        value = value if equals else os.environ[name]
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise UsageError(f"--env {name!r}: write it as NAME=VALUE, or NAME for its value in this shell")
        if _SECRET_NAME.search(name) or _has_password(value):
            raise UsageError(
                f"--env {name} looks like a secret, and Ray shows a job's variables to everyone who sees the "
                f"dashboard; {_WHERE_SECRETS_GO}"
            )
        environment[name] = value
    return environment


def _has_password(value: str) -> bool:
    try:
        return "://" in value and bool(urlsplit(value).password)
    except ValueError:
        return False


def _require_uploaded(config: SweepConfig, folder: Path, uploaded: Mapping[str, int]) -> None:
    for path in _paths(config.model_dump(mode="json", by_alias=True), ("path", "python")):
        if path.is_absolute() or not path.exists():
            continue
        name = _below(path, folder)
        if name is None:
            raise UsageError(
                f"the config names {str(path)!r}, which lies outside of {folder} and is not uploaded; give the command "
                "in a folder above both, or put it where every node sees it and name its absolute path"
            )
        if not _is_in(name, uploaded):
            raise UsageError(
                f"the config names {str(path)!r}, which is not uploaded, since .gitignore, .rayignore or an exclude "
                "leaves it out; put it where every node sees it, and name its absolute path"
            )


def _not_uploaded(config: SweepConfig, folder: Path, uploaded: Mapping[str, int]) -> Iterator[str]:
    """Yield a note for each file whose absolute path the config has, though perhaps the user wrote a relative one."""
    for path in _paths(config.model_dump(mode="json", by_alias=True), ("path", "audit", "python")):
        name = _below(path, folder) if path.is_absolute() and path.exists() else None
        if name and not _is_in(name, uploaded):
            yield f"{path} is not uploaded; unless every node sees it under that name, the job won't find it"


def _is_in(name: str, uploaded: Mapping[str, int]) -> bool:
    return name in uploaded or any(other.startswith(f"{name}/") for other in uploaded)


def _paths(value: Any, keys: Collection[str]) -> Iterator[Path]:
    if isinstance(value, list):
        for child in value:
            yield from _paths(child, keys)
    elif isinstance(value, dict):
        for key, child in value.items():
            if key in keys and isinstance(child, str) and child and "://" not in child:
                yield Path(child)
            else:
                yield from _paths(child, keys)


def _below(path: Path, folder: Path) -> str | None:
    """Return a path relative to a folder, None if it lies outside; links are not followed, as in the upload."""
    plain = os.path.relpath(os.path.abspath(path), folder)  # noqa: PTH100 (Path.resolve follows links)
    return None if plain == ".." or plain.startswith(f"..{os.sep}") else Path(plain).as_posix()


def _notes(environment: Mapping[str, str]) -> Iterator[str]:
    held = [name for name in KEPT_HERE if os.environ.get(name)]
    if held:
        yield f"{', '.join(held)} of this shell {'is' if len(held) == 1 else 'are'} not sent; {_WHERE_SECRETS_GO}"
    if environment:
        yield f"passed on: {', '.join(sorted(environment))}"
