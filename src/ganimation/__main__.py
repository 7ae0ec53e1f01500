"""``python -m ganimation`` is the command line."""

from ganimation.cli import console

if __name__ == "__main__":
    console()
