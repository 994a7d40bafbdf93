"""A threshold without boxes: the same as ``bas-mm calibrate``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['calibrate', *sys.argv[1:]])
