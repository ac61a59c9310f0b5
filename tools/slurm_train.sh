#!/usr/bin/env bash
# Train under Slurm, a process a GPU.
#
#     bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [flags]
#
# GPUS (8) in all, GPUS_PER_NODE (at most 8), CPUS_PER_TASK (5), more words for
# srun in SRUN_ARGS. PORT: a free port of the first machine.
set -euo pipefail
usage='PARTITION JOB_NAME CONFIG WORK_DIR [flags of train.py]'
partition=${1:?$usage}
job_name=${2:?$usage}
config=${3:?$usage}
work_dir=${4:?$usage}
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
read -ra srun_args <<< "${SRUN_ARGS:-}"

export MASTER_PORT=${PORT:-29500}
exec srun --partition="$partition" --job-name="$job_name" \
  --gres="gpu:$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
  --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
  ${srun_args[@]+"${srun_args[@]}"} \
  "${PYTHON:-python}" -u "$(dirname "${BASH_SOURCE[0]}")/train.py" "$config" \
  --work-dir "$work_dir" --launcher slurm "${@:5}"
