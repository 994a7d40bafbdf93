"""Boxes by what the images of a class share: the same as ``bas-mm ddt``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['ddt', *sys.argv[1:]])
