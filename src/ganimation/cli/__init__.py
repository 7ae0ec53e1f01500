"""The command line: parse, call one function, print. Heavy imports stay inside the commands."""

import argparse
import sys
from collections.abc import Callable, Sequence

from ganimation import __version__
from ganimation.cli import editing, evaluation, films, serving, training
from ganimation.cli.shared import process
from ganimation.errors import GanimationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0, or 2 with one line on stderr for bad input, or 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], None] = options.command
        command(options)
    except GanimationError as error:
        who = f"ganimation, process {process()}" if process() else "ganimation"
        print(f"{who}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"ganimation: {interrupt}" if str(interrupt) else "ganimation: stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ganimation", description="Animate a face from a single photo by action units."
    )
    parser.add_argument("--version", action="version", version=f"ganimation {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in (editing, films, serving, training, evaluation):
        group.add(commands)
    return parser
