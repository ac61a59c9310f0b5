#!/usr/bin/env bash
# Train in GPUS processes on this machine; without GPUs they are on CPUs.
#
#     bash tools/dist_train.sh CONFIG GPUS [flags of train.py]
#
# With NNODES machines, on each of them, with its NODE_RANK (0, 1, ...), the
# address of the first in MASTER_ADDR, and a free port of the first in PORT.
set -euo pipefail
config=${1:?CONFIG GPUS [flags of train.py]}
gpus=${2:?CONFIG GPUS [flags of train.py]}

exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes "${NNODES:-1}" --node-rank "${NODE_RANK:-0}" \
  --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}" \
  --nproc-per-node "$gpus" \
  "$(dirname "${BASH_SOURCE[0]}")/train.py" "$config" \
  --launcher pytorch "${@:3}"
