"""Draw runs side by side: the same as ``bas-mm compare``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['compare', *sys.argv[1:]])
