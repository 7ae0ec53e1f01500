"""``python -m ganimation`` is the command line."""

import sys

from ganimation.cli import main

if __name__ == "__main__":
    sys.exit(main())
