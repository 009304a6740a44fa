"""Reads a model's config from the model hub, with errors that say what to do.

Not covered: the weights, which transformers downloads when a model is loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raysweep.errors import MissingInput, UsageError, did_you_mean
from raysweep.rows.hub import TIMEOUT_SECONDS, hub_is_reachable


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
    except (OSError, ValueError, errors.EntryNotFoundError) as error:
        raise _explained(location, revision, error) from error
    return json.loads(path.read_text()), path.parent.name


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
    except OSError:
        return False
    return True


def _explained(location: str, revision: str | None, error: Exception) -> UsageError:
    """Return an error of the hub in one sentence. The order matters: the hub's errors inherit from each other."""
    from huggingface_hub import errors

    page, hint = f"https://huggingface.co/{location}", _similar_folder(location)
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
    return (UsageError if hint else MissingInput)(
        f"model {location!r} is neither a folder nor in the local cache{hint}, and the hub can't be "
        "reached (no network, or HF_HUB_OFFLINE is set)"
    )


def _similar_folder(location: str) -> str:
    """Suggest a folder of a similar name, since ``models/lama`` may be a mistyped path as well as a hub id."""
    parent = Path(location).parent
    folders = [entry.name for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []
    return did_you_mean(Path(location).name, folders)
