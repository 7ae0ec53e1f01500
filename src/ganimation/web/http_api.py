"""HTTP API for programs: ``edit`` and ``read``, see docs/web.md."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from ganimation.editing.editor import Editor
from ganimation.editing.session import parse_which
from ganimation.errors import ActionUnitError, MediaError
from ganimation.media.images import WRITABLE
from ganimation.text import parse_json
from ganimation.web.guards import WHOLE, ConcurrencyLimits, guarded, limited
from ganimation.web.media import open_photo
from ganimation.web.store import Store


def edited(name: str) -> str:
    """Return the file name of a photo's result: in the photo's format if that can be written as one file, else PNG."""
    path = Path(name)
    suffix = path.suffix.lower()
    return f"{path.stem}-edited{suffix if suffix in WRITABLE and suffix not in ('.tif', '.tiff') else '.png'}"


@dataclass(frozen=True)
class HttpApi:
    """Functions for programs; they share the page's editor and its limits on concurrency."""

    editor: Editor
    store: Store
    max_pixels: int
    turns: ConcurrencyLimits

    def build(self) -> None:
        """Add them to the page that is being built."""
        photo, expression, face = gr.File(visible=False), gr.JSON(visible=False), gr.Textbox("largest", visible=False)
        result, report, faces = gr.File(visible=False), gr.JSON(visible=False), gr.JSON(visible=False)
        gr.Button(visible=False).click(
            self._edit_file, [photo, expression, face], [result, report], api_name="edit", **WHOLE
        )
        gr.Button(visible=False).click(self._read_file, photo, faces, api_name="read", **WHOLE)

    @guarded
    @limited("whole")
    def _edit_file(
        self, photo: str | None, expression: Any, face: str | None = "largest"
    ) -> tuple[str, dict[str, object]]:
        source, asked, which = _given(photo), _as_expression(expression), parse_which(str(face or "largest"), "face")
        image = open_photo(source, self.max_pixels)
        path = self.store.place(edited(source.name))
        edit = self.editor.edit(image, asked, which)
        edit.save(path)
        self.turns.faces(len(edit.faces))
        return str(path), {"changed": edit.changed, "notice": edit.notice, "doubts": list(edit.doubts)}

    @guarded
    @limited("whole")
    def _read_file(self, photo: str | None) -> list[dict[str, Any]]:
        return [face.to_json() for face in self.editor.read(open_photo(_given(photo), self.max_pixels))]


def _given(photo: str | None) -> Path:
    if photo is None:
        raise MediaError("no photo; give a file as the first value")
    return Path(photo)


def _as_expression(value: Any) -> dict[str, float | str]:
    """Return an expression as a program gave it: an object, or its text."""
    try:
        found = parse_json(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ActionUnitError(f'the expression is not JSON ({error}); write {{"AU12": 0.8}}') from None
    if not isinstance(found, dict):
        raise ActionUnitError(f'the expression is {type(found).__name__}; write an object like {{"AU12": 0.8}}')
    return found
