"""Command ``serve``."""

import argparse
import re
from typing import Any

from ganimation.cli.shared import add_command, add_model, open_editor, tell
from ganimation.errors import GanimationError


def add(commands: Any) -> None:
    """Add the command to a parser."""
    parser = add_command(commands, "serve", _serve, "serve a web page with sliders, to this computer alone by default")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this computer alone)")
    parser.add_argument("--port", type=int, default=7860, help="(default 7860; 0 for any that is free)")
    parser.add_argument(
        "--auth", action="append", default=[], metavar="NAME:PASSWORD", help="a login for the page; may be repeated"
    )
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a name that others open the page under, as in their address bar; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--proxy", default="", metavar="ADDRESS", help="reverse proxy whose forwarded headers are trusted"
    )
    parser.add_argument(
        "--allow-frame", action="append", default=[], metavar="NAME",
        help="another site that may show the page in a frame, by HTTPS, like huggingface.co; may be repeated",
    )  # fmt: skip
    parser.add_argument("--metrics-port", type=int, metavar="PORT", help="answer Prometheus here, at --host")
    add_model(parser)


def _serve(options: argparse.Namespace) -> None:
    from ganimation.web.server import serve

    if not 0 <= options.port <= 65535:
        raise GanimationError(f"--port {options.port}: it lies in 0..65535")
    if options.metrics_port is not None and not 1 <= options.metrics_port <= 65535:
        raise GanimationError(f"--metrics-port {options.metrics_port}: it lies in 1..65535")
    pairs = [tuple(text.split(":", 1)) for text in options.auth]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise GanimationError("--auth: write NAME:PASSWORD, both of at least one letter")
    from ganimation.web.middleware import host_name

    for option in ("allow_host", "allow_frame"):
        for name in getattr(options, option):
            if host_name(name) != name.lower() or not re.fullmatch(r"[\w.:-]+", name):
                words = f"--{option.replace('_', '-')} {name}"
                raise GanimationError(f"{words}: write a name or an address alone, like photos.example.org")
    if options.host in ("0.0.0.0", "::") and not options.allow_host:
        tell(f"listening to all at {options.host}, but answering under localhost alone; add --allow-host NAME")
    logins = [(pair[0], pair[1]) for pair in pairs]
    editor = open_editor(options)
    editor.config.require_aus("the page")
    serve(
        editor, options.host, options.port, logins, options.allow_host, options.proxy, options.allow_frame,
        options.metrics_port,
    )  # fmt: skip
