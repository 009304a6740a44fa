"""Says what changed where an artefact is planned with another key than the store has, as far as manifests tell."""

from __future__ import annotations

import json

from raysweep.config.changes import differences, listed
from raysweep.errors import StoreError
from raysweep.hashing import canonical_json
from raysweep.planning.plan import ArtefactPlan
from raysweep.storage.artefacts import Unit
from raysweep.storage.store import Store


def changes_since(stored_key: str, planned: ArtefactPlan, store: Store) -> str:
    """Return what changed since an artefact was made: ``of references of mbpp, python was '3.11.7' and is '3.11.9'``.

    An artefact differs from the planned one if one of its inputs does, such as its test set or model. So the change is
    that of the first input that differs, or the artefact's own.

    Returns:
        the change in words; empty if the artefacts are equal, or if manifests are missing or don't tell.
    """
    node = planned.node
    if node is None or node.key == stored_key:
        return ""
    try:
        manifest = store.manifest(Unit(node.stage, stored_key, node.label), dropped=True)
    except StoreError:
        return ""
    inputs = {plan.node.key: plan for plan in planned.inputs if plan.node}
    for key, old in zip(node.inputs, manifest.get("inputs", ()), strict=False):
        if key in inputs and (words := changes_since(old, inputs[key], store)):
            return words
    after = json.loads(canonical_json(node.spec))  # tuples are lists, as in manifests
    version = "version of the stage"
    before = {version: manifest.get("version"), **manifest.get("spec", {})}
    words = listed(text for _, text in differences(before, {version: node.version, **after}))
    return f"of {node.label}, {words}" if words else ""
