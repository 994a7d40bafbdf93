"""``python -m bas_mm`` is ``bas-mm``."""

from bas_mm.commands import main

if __name__ == '__main__':
    main()
