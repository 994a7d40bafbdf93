"""Compare rules for the threshold over runs: see ``bas-mm calibration-study``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['calibration-study', *sys.argv[1:]])
