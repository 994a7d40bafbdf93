"""The ablations of the paper: the same as ``bas-mm ablate``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['ablate', *sys.argv[1:]])
