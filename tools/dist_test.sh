#!/usr/bin/env bash
# Test in GPUS processes on this machine; without GPUs they are on CPUs.
#
#     bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [flags of test.py]
#
# Several machines: as in dist_train.sh.
set -euo pipefail
config=${1:?CONFIG CHECKPOINT GPUS [flags of test.py]}
checkpoint=${2:?CONFIG CHECKPOINT GPUS [flags of test.py]}
gpus=${3:?CONFIG CHECKPOINT GPUS [flags of test.py]}

exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes "${NNODES:-1}" --node-rank "${NODE_RANK:-0}" \
  --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}" \
  --nproc-per-node "$gpus" \
  "$(dirname "${BASH_SOURCE[0]}")/test.py" "$config" "$checkpoint" \
  --launcher pytorch "${@:4}"
