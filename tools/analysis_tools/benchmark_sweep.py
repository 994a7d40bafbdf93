"""Time the sweep over all thresholds: the same as ``bas-mm benchmark-sweep``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['benchmark-sweep', *sys.argv[1:]])
