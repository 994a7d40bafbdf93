"""Train a model: the same as ``bas-mm train``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['train', *sys.argv[1:]])
