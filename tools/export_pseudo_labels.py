"""Write boxes and masks of a data set: the same as ``bas-mm export``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['export', *sys.argv[1:]])
