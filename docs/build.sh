#!/usr/bin/env bash
# Build the documents as a site in build/site; a link that leads nowhere fails.
#
#     pip install -e '.[docs]' && docs/build.sh
set -euo pipefail
cd "$(dirname "$0")/.."

rm -rf build/pages
mkdir -p build/pages
cp -r --parents *.md LICENSE docs results examples vptm_mm/checkpoints/*.md \
  build/pages
NO_MKDOCS_2_WARNING=1 "${PYTHON:-python3}" -m mkdocs build --strict --quiet
