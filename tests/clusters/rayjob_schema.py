"""Makes rayjob-v1.schema.json, the JSON schema of a RayJob, from the definition (CRD) that KubeRay installs.

    python -m tests.clusters.rayjob_schema ray.io_rayjobs.yaml > tests/clusters/rayjob-v1.schema.json

The file is helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml of ray-project/kuberay. Of its 1.4 MB, 0.04 remain:
descriptions are left out, as is the old version v1alpha1, and what stands there several times is written once. Unknown
keys become errors, which `kubectl create` makes of them too.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

SOURCE = "ray-project/kuberay v1.7.0, helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml, Apache-2.0; shortened"
WORTH_SHARING = 120
"""Characters above which a part that is repeated is written once."""


def shortened(crd: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the version v1."""
    version = next(version for version in crd["spec"]["versions"] if version["name"] == "v1")
    schema = strict(version["schema"]["openAPIV3Schema"])
    counted: Counter[str] = Counter()
    _count(schema, counted)
    shared: dict[str, tuple[str, Any]] = {}
    result = _shared(schema, counted, shared)
    return {"$comment": SOURCE, **result, "$defs": dict(sorted(shared.values()))}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without descriptions that takes no keys but those it names."""
    kept = {key: value for key, value in schema.items() if key != "description" and not key.startswith("x-kubernetes")}
    if "properties" in schema:
        kept["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        kept.setdefault("additionalProperties", bool(schema.get("x-kubernetes-preserve-unknown-fields")))
    for key in ("items", "additionalProperties", "not"):
        if isinstance(kept.get(key), dict):
            kept[key] = strict(kept[key])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in kept:
            kept[key] = [{name: value for name, value in part.items() if name != "description"} for part in kept[key]]
    return kept


def _count(part: Any, counted: Counter[str]) -> None:
    if isinstance(part, dict):
        counted[json.dumps(part, sort_keys=True)] += 1
    for child in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _count(child, counted)


def _shared(part: Any, counted: Counter[str], shared: dict[str, tuple[str, Any]]) -> Any:
    if isinstance(part, list):
        return [_shared(child, counted, shared) for child in part]
    if not isinstance(part, dict):
        return part
    text = json.dumps(part, sort_keys=True)
    if "type" not in part or counted[text] < 2 or len(text) < WORTH_SHARING:
        return {key: _shared(child, counted, shared) for key, child in part.items()}
    if text not in shared:
        shared[text] = (f"part{len(shared):03}", None)
        name = shared[text][0]
        shared[text] = (name, {key: _shared(child, counted, shared) for key, child in part.items()})
    return {"$ref": f"#/$defs/{shared[text][0]}"}


if __name__ == "__main__":
    made = shortened(yaml.load(Path(sys.argv[1]).read_text(), Loader=yaml.CSafeLoader))
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in made.items() if key != "$defs"]
    shared_parts = [f"  {json.dumps(name)}: {json.dumps(part)}" for name, part in made["$defs"].items()]
    print("{" + ",\n".join(parts) + ',\n"$defs": {\n' + ",\n".join(shared_parts) + "}}")
