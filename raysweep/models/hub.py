"""Reads the small files of models, in a folder or of the model hub, with errors that say what to do.

Not covered: the weights, which transformers downloads when a model is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raysweep.errors import MissingInput, UsageError, did_you_mean
from raysweep.records import ModelRef
from raysweep.rows.hub import TIMEOUT_SECONDS, hub_is_reachable, network_errors


def hub_config(location: str, revision: str | None) -> tuple[dict[str, Any], str]:
    """Return a hub model's config.json and its commit; use the local cache when the hub can't be reached.

    Raises:
        UsageError: the id or revision doesn't exist or has no config.json.
        MissingInput: the model is gated; or the hub can't be reached and the cache lacks the config.
    """
    import huggingface_hub
    from huggingface_hub import errors

    try:
        reachable = _hub_is_reachable(location, revision)
        path = Path(
            huggingface_hub.hf_hub_download(location, "config.json", revision=revision, local_files_only=not reachable)
        )
    except network_errors(ValueError, errors.EntryNotFoundError) as error:
        raise _explained(location, revision, error) from error
    return json.loads(path.read_text()), path.parent.name


def model_file(ref: ModelRef, name: str) -> Path | None:
    """Return a file of a model's folder, or of the hub, fetched unless the local cache has it; None: there is none.

    Raises:
        UsageError: the hub refuses the file.
    """
    folder = Path(ref.location).expanduser()
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    import huggingface_hub
    from huggingface_hub import errors

    known = huggingface_hub.try_to_load_from_cache(ref.location, name, revision=ref.revision)
    if known is not None or not hub_is_reachable():
        return Path(known) if isinstance(known, str) else None
    try:
        return Path(huggingface_hub.hf_hub_download(ref.location, name, revision=ref.revision))
    except errors.LocalEntryNotFoundError as error:
        raise _explained(ref.location, ref.revision, error) from error
    except errors.EntryNotFoundError:
        return None
    except network_errors(ValueError) as error:
        raise _explained(ref.location, ref.revision, error) from error


def model_config(ref: ModelRef, name: str = "config.json") -> dict[str, Any] | None:
    """Return the content of a JSON file of a model; None: there is none."""
    path = model_file(ref, name)
    return None if path is None else read_json(path)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file of a model holds; raise UsageError if it holds none."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a JSON object")
    return content


def quantization(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a config says of the format that its weights are quantized to; empty: they aren't."""
    inner = config.get("text_config")
    quantized = config.get("quantization_config") or (inner or {}).get("quantization_config")
    return quantized if isinstance(quantized, Mapping) else {}


def _hub_is_reachable(location: str, revision: str | None) -> bool:
    """Ask the hub once for a model, since a download retries for half a minute when the hub can't be reached.

    Raises:
        HfHubHTTPError: the hub answers that it has no such model or revision.
    """
    from huggingface_hub import HfApi, errors

    if not hub_is_reachable():
        return False
    try:
        HfApi().model_info(location, revision=revision, timeout=TIMEOUT_SECONDS)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        raise
    except network_errors():
        return False
    return True


def _explained(location: str, revision: str | None, error: Exception) -> UsageError:
    """Return an error of the hub in one sentence. The order matters: the hub's errors inherit from each other."""
    from huggingface_hub import errors

    page, parent = f"https://huggingface.co/{location}", Path(location).parent
    folders = [entry.name for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []
    hint = did_you_mean(Path(location).name, folders)  # ``models/lama`` may be a mistyped path as well as a hub id
    login = "run `hf auth login` (or set HF_TOKEN)"
    if isinstance(error, errors.HFValidationError):
        return UsageError(f"model {location!r} is neither a folder nor a hub id{hint}")
    if isinstance(error, errors.GatedRepoError):
        return MissingInput(f"model {location!r} on the hub is gated: accept its licence at {page}, then {login}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return UsageError(
            f"model {location!r} is neither a folder nor a hub model you can read{hint}; check the "
            f"spelling, or for a private or gated model {login} and accept its licence at {page}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return UsageError(f"model {location!r} on the hub has no revision {revision!r}; see {page}/commits")
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return UsageError(f"{location!r} on the hub has no config.json, so transformers can't load it")
    return MissingInput(
        f"model {location!r} is neither a folder nor in the local cache{hint}, and the hub can't be "
        "reached (no network, or HF_HUB_OFFLINE is set)"
    )
