"""The texts of a replication package: README, licences of its data, versions of what made it."""

from __future__ import annotations

import json
import platform
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import distributions
from typing import Any

from raysweep.config.schema import SweepConfig
from raysweep.machine import VERSION
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.problems.base import PROBLEMS
from raysweep.records import CLEAN
from raysweep.sweep.report.notes import limit_text
from raysweep.training_sets.base import SOURCES

SUMS, TABLES, RECOMPUTED, STORE = "SHA256SUMS", "tables", "recomputed", "store"
UNKNOWN = "not known here"


def commands(sweep: str) -> str:
    """Return the lines that check a package and recompute its tables, given in its folder."""
    return "\n".join(
        [
            f"sha256sum --check --quiet {SUMS}",
            f"raysweep report {shlex.quote(sweep)} --storage {STORE} --format csv --out {RECOMPUTED}",
            f"diff -r {TABLES} {RECOMPUTED}",
        ]
    )


def readme(config: SweepConfig, notes: Sequence[str], copied: Mapping[str, int]) -> str:
    """Return the README. `notes`: what is missing, a line each; `copied`: artefacts with their files, by stage."""
    title = config.report.title or config.name
    limited = f"\n**Limited run:** {limit_text(config)}\n" if limit_text(config) else ""
    missing = "\n".join(f"- {note}" for note in notes) or "Nothing: every planned evaluation has results."
    stages = ", ".join(f"{number:,} in `{stage}`" for stage, number in copied.items())
    return f"""# Replication package of {title}

What raysweep {VERSION} needs to recompute every table of the sweep `{config.name}`. It takes no model, no network and
no accelerator.
{limited}
## Recompute every table

In this folder, with raysweep {VERSION} installed (`replication.json` has the versions of all packages):

```bash
{commands(config.name)}
```

The first line prints nothing if every file is as it was written; the last one prints nothing if all tables are equal,
byte for byte. The report, with prompts and completions side by side, is written by
`raysweep report {config.name} --storage {STORE} --out {RECOMPUTED}-report`.

## What is here

| file | what it is |
|---|---|
| `{TABLES}/` | every table of the report as CSV |
| `numbers/` | every number with its interval, verdicts by problem, differences to baselines, as CSV |
| `{STORE}/sweeps/{config.name}/` | the resolved config, the evaluations with their keys, the numbers as Parquet |
| `{STORE}/artefacts/` | Parquet files: {stages} |
| `artefacts.csv` | what each artefact is, its key, its rows, and where it lies |
| `replication.json` | versions of Python, packages and system, here and where the artefacts were made |
| `LICENCES.md` | what is known of the licences of the data |
| `{SUMS}` | SHA-256 of every other file |

Artefacts without files are recorded by their manifests (`dropped.json`): models, and the rows that training sets were
made from. Of an edited model there is what its localization found of each block, too (`blocks.parquet`). A manifest
has the settings, the keys of the inputs, versions and the machine; a key is a hash of all that determines an artefact,
so a sweep with the same config and versions has the same keys.

## What is missing

{missing}
"""


def licences(config: SweepConfig) -> str:
    """Return a table of the data that a package holds, where it is published, and under which licence."""
    rows = list(_data(config))
    lines = [f"| {what} | {origin or UNKNOWN} | {licence or UNKNOWN} |" for what, origin, licence in rows]
    unknown = [what for what, _, licence in rows if not licence]
    advice = (
        "\nBefore you publish this package, find out whether you may pass on what is derived from "
        f"{', '.join(unknown)}: raysweep doesn't know the licence.\n"
        if unknown
        else ""
    )
    return (
        "# Licences of the data\n\nTraining sets, test sets and completions contain texts of these sources, clean and "
        "perturbed. raysweep itself is Apache-2.0.\n\n| data | published at | licence |\n|---|---|---|\n"
        + "\n".join(lines)
        + f"\n{advice}"
    )


def _data(config: SweepConfig) -> Iterator[tuple[str, str, str]]:
    """Yield the data of a sweep: what it is, its address, its licence; both are empty if they are not known."""
    for problems in config.evaluation.problems:
        kind = PROBLEMS.get(problems.name)
        yield f"problem set {problems.label}", kind.origin, kind.licence
    of_sets = config.training.row_sources if config.training else ()
    sources = [(f"training rows{f' {source.name}' * bool(source.name)}", source.rows) for source in of_sets]
    sources += [(f"pre-training rows of {m.name}", m.pretrain.source) for m in config.models if m.pretrain]
    for what, source in sources:
        path = (source.model_extra or {}).get("path")
        kind_of_source = SOURCES.get(source.name)
        yield f"{what}: {path or source.name}", kind_of_source.origin, kind_of_source.licence
    sets = config.training.sets if config.training else []
    names = [*config.evaluation.perturbations, *(entry.perturbation for entry in sets)]
    for name in dict.fromkeys(name for name in names if name != CLEAN):
        method = PERTURBATIONS.get(config.perturbation(name).name)
        if method.licence:
            yield f"texts of the perturbation {name}", method.origin, method.licence
    for model in config.models:
        if model.path:
            yield f"completions of the model {model.name}", model.path, ""


def replication_json(sweep: str, manifests: Iterable[Mapping[str, Any]], notes: Sequence[str]) -> str:
    machines = Counter(
        json.dumps({name: made[name] for name in ("python", "machine", "versions") if name in made}, sort_keys=True)
        for made in (manifest.get("made") or {} for manifest in manifests)
    )
    content = {
        "sweep": sweep,
        "raysweep": VERSION,
        "commands": commands(sweep).splitlines(),
        "missing": list(notes),
        "exported_with": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "packages": dict(sorted({part.metadata["Name"]: part.version for part in distributions()}.items())),
        },
        "artefacts_made_with": [{"artefacts": number, **json.loads(made)} for made, number in machines.most_common()],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
