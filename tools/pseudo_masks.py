"""Masks to train a segmenter on: the same as ``bas-mm pseudo-masks``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['pseudo-masks', *sys.argv[1:]])
