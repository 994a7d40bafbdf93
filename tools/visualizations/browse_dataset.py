"""See what the model will see: the same as ``bas-mm browse``."""

import sys

from bas_mm.commands import main

if __name__ == '__main__':
    main(['browse', *sys.argv[1:]])
