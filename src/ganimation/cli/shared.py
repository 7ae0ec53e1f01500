"""Options that several commands share, their evaluation, messages and progress bars."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganimation.action_units import REGIONS, Request, parse_requests, read_requests
from ganimation.errors import ActionUnitError, MediaError
from ganimation.text import printable

if TYPE_CHECKING:
    from ganimation.editing.editor import Editor
    from ganimation.editing.session import Which
    from ganimation.media.images import Photo
    from ganimation.media.provenance import Provenance


#: Longest side in pixels of a film of a photo, and of a GIF, whose pictures are hardly compressed.
FILM_SIDE, GIF_SIDE = 1080, 480
SIDE_HELP = f"longest side in pixels of a film of a photo (default {FILM_SIDE}, of a GIF {GIF_SIDE})"

#: The notice where no frame of a film differs from its source.
UNMOVED = "the film shows nothing new: what was asked changes no pixel with this model; ask for more"


def say(text: object) -> None:
    """Print a line, with control characters escaped."""
    print(printable(str(text)))


def tell(text: str) -> None:
    """Print a notice on stderr, as one line."""
    print(f"ganimation: {printable(text)}", file=sys.stderr, flush=True)


def add_output(parser: argparse.ArgumentParser, text: str, *, required: bool = True) -> None:
    """Add the options --output and --overwrite."""
    parser.add_argument("-o", "--output", type=Path, required=required, help=text)
    parser.add_argument("--overwrite", action="store_true", help="let the result replace the file that it is made from")


def check_output(options: argparse.Namespace, *sources: Path) -> None:
    """Check that the result replaces none of its sources, unless --overwrite says so.

    Raises:
        MediaError: it would.
    """
    output: Path = options.output
    for source in sources:
        if not options.overwrite and output.exists() and source.exists() and output.samefile(source):
            raise MediaError(f"{output}: would replace what it is made from; choose another -o, or add --overwrite")


def add_command(commands: Any, name: str, function: Callable[[argparse.Namespace], None], text: str) -> Any:
    """Add a command that calls a function; return its parser."""
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(command=function)
    return parser


def add_expression(parser: argparse.ArgumentParser) -> None:
    """Add the argument for the photo, the options of the target expression and --face."""
    parser.add_argument(
        "photo",
        type=Path,
        help="a photo: JPEG, PNG, WebP, TIFF, HEIC, ...; `edit` also takes a film, a folder, or a table (.csv)",
    )
    add_target(parser)
    parser.add_argument("--face", default="largest", help="which face: largest (default), all, or a number from 1")


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the options of the target expression, of the model and of the size limit."""
    parser.add_argument(
        "--au", action="append", default=[], metavar="AU=X",
        help="one or more: intensity in [0, 1] (AU12=0.8), or a change of what the photo shows (AU12=+0.3)",
    )  # fmt: skip
    parser.add_argument("--expression", type=Path, metavar="JSON", help='a file like {"AU12": 0.8, "AU06": "+0.3"}')
    parser.add_argument(
        "--emotion", metavar="NAME",
        help="a named expression (`ganimation expressions` lists them), or a blend: happiness:0.7+surprise:0.4",
    )  # fmt: skip
    parser.add_argument("--like", type=Path, metavar="PHOTO", help="copy the expression of the face in another photo")
    parser.add_argument("--neutral", type=Path, metavar="PHOTO", help="that person at rest: copy the change (--like)")
    parser.add_argument("--regions", default="", metavar="LIST", help=f"copy only these (--like): {', '.join(REGIONS)}")
    parser.add_argument(
        "--strength", type=float, default=1.0, help="strength of --emotion or --like, in [0, 1.5] (default 1)"
    )
    add_model(parser)
    add_limit(parser)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options --model, --backend, --precision and --device."""
    parser.add_argument(
        "--model", metavar="MODEL",
        help="a model folder, or OWNER/NAME[@REVISION] on the Hugging Face Hub (default: the bundled weights)",
    )  # fmt: skip
    parser.add_argument("--backend", default="auto", help="auto (default), onnxruntime, openvino or torch")
    parser.add_argument("--precision", default="float32", help="float32 (default), or bfloat16 by openvino or torch")
    parser.add_argument(
        "--device",
        default="auto",
        help="auto (default: a graphics card if there is one), cpu, cuda, coreml, directml, intel",
    )


def open_editor(options: argparse.Namespace, threads: int = 0) -> "Editor":
    """Return the editor that --model, --backend, --precision and --device name; say where it computes, if not here."""
    from ganimation.editing.editor import Editor

    editor = Editor(options.model, options.backend, threads, options.precision, device=options.device)
    if editor.notice:
        tell(editor.notice)
    if editor.place.device != "cpu":
        tell(f"computing on {editor.place}")
    return editor


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Add the limit of the size of photos."""
    parser.add_argument(
        "--max-megapixels", type=float, default=100.0, metavar="N", help="refuse larger photos (default 100)"
    )


def read_expression(options: argparse.Namespace, editor: "Editor") -> tuple[Request, ...]:
    """Return what --emotion, --expression and --au ask for; the later overrides the earlier, AU by AU."""
    known = editor.config.aus
    if editor.config.emotions and (options.au or options.expression):
        raise ActionUnitError(
            f"this model ({editor.config.kind}) knows no action units; ask with --emotion for one of "
            f"{', '.join(editor.config.emotions)}"
        )
    if (options.neutral or options.regions) and not options.like:
        raise ActionUnitError("--neutral and --regions belong to --like; name the photo to copy, or leave them out")
    if options.strength != 1.0 and not (options.like or options.emotion):
        raise ActionUnitError(
            f"--strength {options.strength:g}: it scales --emotion or --like; of --au change the numbers"
        )
    asked: dict[str, Request] = {}
    if options.like:
        asked |= {request.name: request for request in _read_like(options, editor)}
    if options.emotion:
        asked |= {request.name: request for request in editor.emotion(options.emotion, options.strength)}
    if options.expression:
        asked |= {request.name: request for request in read_requests(options.expression, known)}
    asked |= {request.name: request for request in parse_requests(options.au, known)}
    return tuple(asked.values())


def _read_like(options: argparse.Namespace, editor: "Editor") -> tuple[Request, ...]:
    """Return the requests of --like."""
    from ganimation.editing.films import parse_regions

    regions = parse_regions(options.regions) if options.regions else REGIONS
    paths = [path for path in (options.like, options.neutral) if path is not None]
    other, *neutral = (open_photo(options, path) for path in paths)
    return editor.like(other, strength=options.strength, regions=regions, neutral=neutral[0] if neutral else None)


def longest_side(options: argparse.Namespace) -> int:
    """Return --max-side, or what a film in the output's format has by default.

    Raises:
        MediaError: it is out of range.
    """
    gif = options.output is not None and options.output.suffix.lower() == ".gif"
    side: int = options.max_side or (GIF_SIDE if gif else FILM_SIDE)
    if options.max_side is not None and not 16 <= options.max_side <= 8192:
        raise MediaError(f"--max-side {options.max_side}: it lies in 16..8192 pixels")
    return side


def film_provenance(
    operation: str, editor: "Editor", requests: "Sequence[Request]" = (), **details: object
) -> "Provenance":
    """Return the provenance that is written into a film."""
    from ganimation.media.provenance import Provenance

    asked = {r.name: f"{r.value:+g}" if r.relative else r.value for r in requests}
    return Provenance(operation, editor.fingerprint, ({"asked": asked},) if asked else (), details)


def chosen_face(text: str) -> "Which":
    """Return what --face says."""
    from ganimation.editing.session import parse_which

    return parse_which(text, "--face")


def open_photo(options: argparse.Namespace, path: Path) -> "Photo":
    """Return a photo, unless it is larger than --max-megapixels."""
    from ganimation.media.images import read_image

    return read_image(path, max_pixels(options))


def max_pixels(options: argparse.Namespace) -> int:
    """Return what --max-megapixels says."""
    if not 0 < options.max_megapixels <= 1e6:
        raise MediaError(f"--max-megapixels {options.max_megapixels:g}: it lies in (0, 1000000]")
    return int(options.max_megapixels * 1e6)


def process() -> int:
    """Return the rank of this process in a distributed run; only rank 0 prints."""
    names = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdecimal()), 0)


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on stderr where it is a terminal; yield a callback that takes done and total."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
