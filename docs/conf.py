"""The documentation's site: `scripts/docs` builds it, without network."""

import argparse
import os
import sys
from pathlib import Path

os.environ["COLUMNS"] = "100"  # width of the help texts
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from ganimation import __version__  # noqa: E402
from ganimation.cli import build_parser  # noqa: E402
from ganimation.training.fields import describe  # noqa: E402
from ganimation.training.presets import PRESETS  # noqa: E402

project, author, release, version = "ganimation", "the ganimation founders", __version__, __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["build", "bundled-weights.md"]  # the latter is included by reference/model.md
html_theme = "furo"
html_title = "ganimation"
html_show_copyright = False
html_copy_source = False
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_use_ivar = True
nitpicky = False


def _commands() -> str:
    """Return the reference of the command line, Markdown, from its parsers."""
    lines = ["# Command line", "", "Every command, as `ganimation COMMAND --help` prints it.", ""]
    parser = build_parser()
    (choices,) = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for name, command in choices.items():
        lines += [f"## {name}", "", "```text", command.format_help().rstrip(), "```", ""]
    return "\n".join(lines)


def _configuration() -> str:
    """Return the reference of the configuration, Markdown, from the fields of the preset that ships."""
    lines = ["# Configuration of training", "", "The fields of the preset `bundled`, each with its value there.", ""]
    for line in describe(PRESETS["bundled"]).splitlines():
        name, _, text = line.partition("  ")
        lines.append(f"- `{name}` {text.replace('``', '`')}")
    return "\n".join(lines) + "\n"


for name, text in (("commands", _commands()), ("configuration", _configuration())):
    (Path(__file__).parent / "reference" / f"{name}.md").write_text(text, encoding="utf-8")
