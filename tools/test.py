"""Test a checkpoint: the same as ``bas-mm test``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['test', *sys.argv[1:]])
