"""``vptm pretrain``, for those who run it as a script."""

import sys

from vptm_mm_cli import main

if __name__ == '__main__':
    sys.exit(main(['pretrain', *sys.argv[1:]]))
