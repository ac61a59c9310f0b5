"""``python -m vptm_mm VERB``: the command ``vptm``."""

import sys

from vptm_mm_cli import main

if __name__ == '__main__':
    sys.exit(main())
