"""Asking the model hub for a model's config, with errors that say what to do.

Not covered: weights, which transformers downloads when a model is loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError, did_you_mean

SECONDS = 5
"""How long the hub may take to answer whether it knows a model."""


def hub_config(location: str, revision: str | None) -> tuple[dict[str, Any], str]:
    """Return a hub model's config.json and the commit it is from; the local cache answers when the hub can't.

    Raises:
        UsageError: no such id or revision, no access, no config.json, or neither hub nor cache has it.
    """
    import huggingface_hub
    from huggingface_hub import errors

    try:
        reached = _is_reached(location, revision)
        path = Path(
            huggingface_hub.hf_hub_download(location, "config.json", revision=revision, local_files_only=not reached)
        )
    except (OSError, ValueError, errors.EntryNotFoundError) as error:
        raise UsageError(_explain(location, revision, error)) from error
    return json.loads(path.read_text()), path.parent.name


def _is_reached(location: str, revision: str | None) -> bool:
    """Ask the hub once whether it knows a model: a download that can't reach it tries for half a minute.

    Raises:
        HfHubHTTPError: it answers that there is no such model or revision.
    """
    from huggingface_hub import HfApi, errors

    try:
        HfApi().model_info(location, revision=revision, timeout=SECONDS)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        raise
    except OSError:
        return False
    return True


def _explain(location: str, revision: str | None, error: Exception) -> str:
    """Say in a sentence why the hub gave no config. The order matters: the hub's errors inherit from each other."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{location}"
    login = "run `hf auth login` (or set HF_TOKEN)"
    if isinstance(error, errors.HFValidationError):
        return f"model {location!r} is neither a folder nor a hub id{_near(location)}"
    if isinstance(error, errors.GatedRepoError):
        return f"model {location!r} on the hub is gated: accept its licence at {page}, then {login}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"model {location!r} is neither a folder nor a hub model you can read{_near(location)}; check the "
            f"spelling, or for a private or gated model {login} and accept its licence at {page}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"model {location!r} on the hub has no revision {revision!r}; see {page}/commits"
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return f"{location!r} on the hub has no config.json, so it is no model that transformers loads"
    return (
        f"model {location!r} is neither a folder nor in the local cache{_near(location)}, and the hub can't be "
        "reached (no network, or HF_HUB_OFFLINE is set)"
    )


def _near(location: str) -> str:
    """Offer the nearest folder, since ``models/lama`` may be a mistyped path as well as a hub id."""
    parent = Path(location).parent
    near = [entry.name for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []
    return did_you_mean(Path(location).name, near)
