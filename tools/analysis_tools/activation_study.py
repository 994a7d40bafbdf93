"""Activation of masked features: the same as ``bas-mm activation-study``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['activation-study', *sys.argv[1:]])
