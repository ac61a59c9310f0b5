#!/usr/bin/env bash
# Test under Slurm, a process a GPU.
#
#     bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [flags]
#
# The environment: as in slurm_train.sh.
set -euo pipefail
usage='PARTITION JOB_NAME CONFIG CHECKPOINT [flags of test.py]'
partition=${1:?$usage}
job_name=${2:?$usage}
config=${3:?$usage}
checkpoint=${4:?$usage}
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
read -ra srun_args <<< "${SRUN_ARGS:-}"

export MASTER_PORT=${PORT:-29500}
exec srun --partition="$partition" --job-name="$job_name" \
  --gres="gpu:$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
  --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
  ${srun_args[@]+"${srun_args[@]}"} \
  "${PYTHON:-python}" -u "$(dirname "${BASH_SOURCE[0]}")/test.py" "$config" \
  "$checkpoint" --launcher slurm "${@:5}"
