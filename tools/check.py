"""Read all data once: the same as ``bas-mm check``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['check', *sys.argv[1:]])
