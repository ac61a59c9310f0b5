#!/usr/bin/env bash
# Run the tests in the environment .venv, created here if it is missing.
#
#     tests/run.sh [arguments of pytest]
#
# PYTHON names the interpreter of a new environment (python3 by default), STACK
# the extra that brings MMPretrain (openmmlab by default).
set -euo pipefail
cd "$(dirname "$0")/.."

[ -d .venv ] || "${PYTHON:-python3}" -m venv .venv
.venv/bin/pip install -e ".[${STACK:-openmmlab},test]"
# OpenCV's build for servers, which needs no libGL.
.venv/bin/pip install --no-deps --force-reinstall opencv-python-headless
.venv/bin/python -m pytest -n auto "$@"
