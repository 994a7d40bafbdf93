"""Train and test methods alike: the same as ``bas-mm compare-methods``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['compare-methods', *sys.argv[1:]])
