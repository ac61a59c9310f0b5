#!/usr/bin/env bash
# Run the tests in the environment .venv, created here if it is missing.
#
#     tests/run.sh [arguments of pytest]
#
# PYTHON names the interpreter of a new environment (python3 by default), STACK
# the extra that brings MMPretrain (openmmlab by default), CONSTRAINTS a file
# of versions (those of requirements/tested.txt by default).
set -euo pipefail
cd "$(dirname "$0")/.."

[ -d .venv ] || "${PYTHON:-python3}" -m venv .venv
.venv/bin/pip install -c "${CONSTRAINTS:-requirements/tested.txt}" \
  -e ".[${STACK:-openmmlab},test]"
# OpenCV's build for servers, which needs no libGL.
.venv/bin/pip install -c "${CONSTRAINTS:-requirements/tested.txt}" \
  --no-deps --force-reinstall opencv-python-headless
.venv/bin/python -m pytest -n auto "$@"
