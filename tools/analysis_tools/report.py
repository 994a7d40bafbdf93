"""Put runs side by side: the same as ``bas-mm report``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['report', *sys.argv[1:]])
