"""``vptm check``, for those who run it as a script."""

import sys

from vptm_mm_cli import main

if __name__ == '__main__':
    sys.exit(main(['check', *sys.argv[1:]]))
