#!/usr/bin/env bash
# bash clusters/laptop.sh
#
# A Ray on this machine that takes jobs, to try what a cluster does, or to let sweeps run while no terminal is open.
# `raysweep run` needs none of this: it starts a Ray of its own and ends it.
#
#   source .venv/bin/activate       jobs find `raysweep` through the shell that starts Ray
#   ray get-auth-token --generate   a token in ~/.ray/auth_token, which jobs need
#   export RAY_AUTH_MODE=token
#   bash clusters/laptop.sh         starts Ray; it goes on when the terminal is closed
#   raysweep submit CONFIG --address http://localhost:8265 --storage ~/raysweep-store --allow-code-execution
#   ray stop                        ends every Ray of this user
#
# Edit:
# - CPUS: how many CPUs cells may use; all of them by default. Memory is what runs out first on a laptop: the quickstart
#   takes 5 GiB on two.
# - --labels: the GPU, if configs name one: --labels=ray.io/accelerator-type=A6000
#
# Mind:
# - The dashboard answers on this machine only. RAY_AUTH_MODE must be the same where Ray starts and where jobs are
#   submitted; with RAY_AUTH_MODE=disabled every program of any user on this machine can submit jobs.

set -euo pipefail

ray start --head --dashboard-host=127.0.0.1 --num-cpus="${CPUS:-$(nproc)}" --object-store-memory=500000000 \
  --disable-usage-stats "$@"
