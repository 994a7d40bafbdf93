"""A model as a file that runs without bas_mm: the same as ``bas-mm export-model``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['export-model', *sys.argv[1:]])
