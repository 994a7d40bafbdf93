"""Say what is in images and where: the same as ``bas-mm localize``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['localize', *sys.argv[1:]])
