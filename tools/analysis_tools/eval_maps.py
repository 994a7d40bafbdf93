"""Evaluate saved maps of any origin: the same as ``bas-mm eval-maps``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['eval-maps', *sys.argv[1:]])
