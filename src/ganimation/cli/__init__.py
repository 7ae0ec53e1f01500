"""The command line: parse, call one function, print. Heavy imports stay inside the commands."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from ganimation import __version__
from ganimation.cli import editing, evaluation, films, serving, training
from ganimation.cli.shared import process
from ganimation.errors import GanimationError
from ganimation.text import printable, shorten


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0; 2 with one line on stderr for bad input or an error of the operating system; 130 for
        Ctrl-C; 141 if the reader of standard output has closed the pipe.
    """
    options = build_parser().parse_args(separated(sys.argv[1:] if arguments is None else arguments))
    try:
        command: Callable[[argparse.Namespace], None] = options.command
        command(options)
        sys.stdout.flush()
    except GanimationError as error:
        return _refuse(str(error))
    except BrokenPipeError:
        _drop_output()
        return 141
    except OSError as error:  # name too long, disk full, no permission: not a bug, so no traceback
        if error.filename is None:  # what is printed cannot be written
            _drop_output()
        where = "standard output" if error.filename is None else shorten(os.fsdecode(error.filename), 200)
        return _refuse(f"{where}: {error.strerror or error}")
    except KeyboardInterrupt as interrupt:
        print(f"ganimation: {interrupt}" if str(interrupt) else "ganimation: stopped", file=sys.stderr)
        return 130
    return 0


def separated(words: Sequence[str]) -> list[str]:
    """Return words with ``--au`` before each of its values, so that what follows them is not taken for one of them."""
    result: list[str] = []
    within = False
    for word in words:
        within = word == "--au" or (within and "=" in word and not word.startswith("-"))
        if within and word != "--au" and result[-1] != "--au":
            result.append("--au")
        result.append(word)
    return result


def console() -> NoReturn:
    """Run the command line and exit the process; after Ctrl-C exit without waiting for running threads."""
    status = main()
    if status == 130:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _refuse(reason: str) -> int:
    who = f"ganimation, process {process()}" if process() else "ganimation"
    with suppress(OSError):  # where stderr is full too, the status says it
        print(f"{who}: {printable(' '.join(reason.split()))}", file=sys.stderr, flush=True)
    return 2


def _drop_output() -> None:
    """Redirect standard output to the null device, so that flushing it at exit does not fail."""
    with suppress(OSError, ValueError):  # a test's standard output has no number
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="ganimation", description="Animate a face from a single photo by action units."
    )
    parser.add_argument("--version", action="version", version=f"ganimation {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in (editing, films, serving, training, evaluation):
        group.add(commands)
    return parser
