#!/usr/bin/env bash
# Runs a small sweep with Ray on one GPU, kills it with -9 while it tunes models, and runs it again to its report: five
# minutes.
#
#   bash benchmarks/gpu_sweep.sh [WHEELS] [OUT]
#
# WHEELS: a folder of wheels to install beside what is there, without a network; empty: everything is installed already.
#   For a machine that has torch, transformers and peft, on one with raysweep, a network and the same Python:
#     .venv/bin/python -m pip freeze --exclude-editable | grep -v -i -E '^(torch|nvidia|triton|transformers|peft)' >needed
#     .venv/bin/python -m pip wheel --no-deps --wheel-dir WHEELS --requirement needed
# OUT: a folder without a store, for the store, both logs and summary.json.
# PYTHON=.venv/bin/python picks an interpreter, GPUS=0 runs it without a GPU.
set -euo pipefail
wheels=${1:+$(realpath -m "$1")} out=$(realpath -m "${2:-$(mktemp -d)}") gpus=${GPUS:-0.5} python=${PYTHON:-python3}
[[ $python != */* ]] || python=$(realpath -s "$python")
cd "$(dirname "$0")/.."
if [ -n "$wheels" ] && ! compgen -G "$wheels/*.whl" >/dev/null; then echo "there are no wheels in $wheels"; exit 2; fi
mkdir -p "$out"
if [ -e "$out/store" ]; then echo "$out has a store already; name a new folder"; exit 2; fi
if [ -n "$wheels" ]; then
  "$python" -m pip install -q --no-index --no-deps --no-compile --target "$out/site" "$wheels"/*.whl
fi
export PYTHONPATH="$PWD${wheels:+:$out/site}${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1

sweep() {
  exec "$python" -m raysweep run benchmarks/gpu_sweep.yaml --storage "$out/store" --set "resources.gpus=$gpus"
}

running=''
trap '[ -z "$running" ] || kill "$running" 2>/dev/null || true' EXIT

most=0
watch_card() { # notes how many processes use the card at a time
  now=$({ nvidia-smi --query-compute-apps=pid --format=csv,noheader 2>/dev/null || true; } | wc -l)
  if [ "$now" -gt "$most" ]; then most=$now; fi
  sleep 0.2
}

began=$SECONDS
(sweep) >"$out/first.log" 2>&1 &
running=$!
until compgen -G "$out/store/unfinished/model/*/step-*/COMPLETE" >/dev/null; do # a checkpoint of a fine-tuned model
  kill -0 "$running" 2>/dev/null || { cat "$out/first.log"; echo "it ended before a checkpoint was seen"; exit 1; }
  watch_card
done
kill -9 "$running"
wait "$running" 2>/dev/null || true
running=''
killed=$((SECONDS - began))
echo "killed after $killed s, while it was tuning models"

began=$SECONDS
(sweep) >"$out/second.log" 2>&1 &
running=$!
while kill -0 "$running" 2>/dev/null; do watch_card; done
code=0
wait "$running" || code=$?
running=''
tail -n 40 "$out/second.log"
"$python" - "$out" "$code" "$killed" "$((SECONDS - began))" "$most" "$gpus" <<'PY'
import json, sys
from pathlib import Path

out, code, killed, again, most = Path(sys.argv[1]), *map(int, sys.argv[2:6])
counts = [json.loads(path.read_text()).get("counts", {}) for path in out.glob("store/artefacts/model/*/*/manifest.json")]
summary = {
    "exit_code": code,
    "seconds_until_killed": killed,
    "seconds_of_the_second_run": again,
    "tuned_models": len(counts),
    "devices": sorted({str(one.get("device")) for one in counts}),
    "resumed_from_steps": sorted(one["resumed_from"] for one in counts if one.get("resumed_from")),
    "most_processes_on_the_card": most,
    "has_report": (out / "store/sweeps/gpu-sweep/report.html").exists(),
}
(out / "summary.json").write_text(json.dumps(summary, indent=1))
print(json.dumps(summary, indent=1))
wrong = {
    f"the second run ended with {code}": code,
    f"{len(counts)} of 8 models are there": len(counts) != 8,
    "no training was resumed": not summary["resumed_from_steps"],
    "there is no report": not summary["has_report"],
    f"nvidia-smi showed {most} processes on the card at a time": float(sys.argv[6]) and most < 2,
}
sys.exit("; ".join(text for text, is_so in wrong.items() if is_so) or 0)
PY
