"""The Gradio page: its tabs and event handlers. The state of a visitor is held in their session."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from ganimation.action_units import ACTION_UNITS, EMOTIONS, REGIONS
from ganimation.editing.editor import Editor
from ganimation.editing.result import SAME
from ganimation.errors import ActionUnitError, FaceError, GanimationError
from ganimation.expressions import NAMED
from ganimation.web import films, photo_state
from ganimation.web.guards import (
    WHOLE,
    ConcurrencyLimits,
    Events,
    Refusal,
    guarded,
    limited,
    without_places,
)
from ganimation.web.http_api import HttpApi, edited
from ganimation.web.media import open_photo
from ganimation.web.photo_state import PhotoState
from ganimation.web.store import Store
from ganimation.web.tabs import Tabs

#: Whom the sliders move, and the side of the person's face.
BOTH = "both sides"
WAYS = {BOTH: "", "the person's right side": "R", "the person's left side": "L"}

#: Events that may wait.
QUEUE = 64

EXAMPLES = Path(__file__).parent / "examples"

CONSENT = (
    "**Use only photos of people who agreed to it.** Each file that you save contains a record of its edit, which "
    "`ganimation verify` prints. Photos stay on the computer that runs this page, which deletes them an hour after "
    "their last use."
)

THEME = gr.themes.Soft(
    font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"], primary_hue="teal", spacing_size="sm"
)

#: The picture stays in sight while sliders move, also at phone width, where they are below it.
CSS = """
span[data-testid="block-info"] { background: none !important; padding: 0 !important; color: inherit !important; }
.gradio-container { max-width: 1280px !important; margin: 0 auto; overflow: clip !important; }
table.bars { width: 100%; border-collapse: collapse; table-layout: fixed; }
table.bars :is(tr, th, td) { border: 0 !important; padding: 2px 6px 2px 0 !important; text-align: left; }
table.bars th { font-weight: normal; }
table.bars th:first-child { width: 11em; }
table.bars td { font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { display: inline-block; width: calc(100% - 2.8em); height: 10px; margin-right: 6px; border-radius: 5px;
  background: var(--border-color-primary); vertical-align: middle; overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--primary-500); }
@media (min-width: 800px) { #left { position: sticky; top: 8px; align-self: flex-start; } }
@media (max-width: 799px) {
  #left { display: contents; }
  #result { position: sticky; top: 0; z-index: 50; background: var(--body-background-fill); }
  #result img { max-height: 42vh; }
}
"""


#: Muscles as tooltips of the sliders.
TOOLTIPS = """() => {
  for (const [code, text] of Object.entries(%s)) document.getElementById(code)?.setAttribute("title", text);
}"""
#: One click saves: the browser takes the file that has come.
DOWNLOAD = "() => setTimeout(() => document.querySelector('#saved a[download]')?.click(), 100)"


class Page:
    """The page of one editor.

    Args:
        editor: shared by all visitors.
        store: where files of visitors lie.
        max_pixels: of a photo.
    """

    def __init__(self, editor: Editor, store: Store, max_pixels: int) -> None:
        self.editor, self.store, self.max_pixels = editor, store, max_pixels
        self.turns = ConcurrencyLimits()
        self.codes = editor.config.aus
        self.emotions = [name for name in EMOTIONS if self._can(name)]
        self.tabs = Tabs(editor, store, max_pixels, self.turns, self.emotions, self._asked)

    def _can(self, name: str) -> bool:
        try:
            self.editor.emotion(name)
        except ActionUnitError:
            return False
        return True

    def build(self) -> gr.Blocks:
        """Return the page, not yet served."""
        page: gr.Blocks
        with Events(self.store, title="ganimation", analytics_enabled=False) as page:
            work = gr.State(None, time_to_live=3600)
            gr.Markdown("# ganimation\nMove a face, muscle by muscle. Drop a photo, then drag.")
            gr.Markdown(CONSENT, elem_id="consent")
            with gr.Row(equal_height=False):
                with gr.Column(scale=5, min_width=300, elem_id="left"):
                    stage = self._stage()
                with gr.Column(scale=4, min_width=300), gr.Tabs():
                    with gr.Tab("Edit", id="edit"):
                        sliders = self._edit(work, stage)
                    with gr.Tab("Animate", id="animate"):
                        self.tabs.animate(work, sliders, stage.side)
                    with gr.Tab("Drive", id="drive"):
                        self.tabs.drive(work)
                    with gr.Tab("Measure", id="measure"):
                        self.tabs.measure()
            page.load(None, js=TOOLTIPS % json.dumps({code: films.muscle(code) for code in self.codes}))
            HttpApi(self.editor, self.store, self.max_pixels, self.turns).build()
        page.queue(max_size=QUEUE, default_concurrency_limit=2, api_open=False)
        return page

    def _stage(self) -> "Stage":
        """Return what is seen beside every tab: the photo, and the photo edited."""
        photo = gr.Image(
            type="filepath", label="Photo", sources=["upload", "webcam", "clipboard"], height=150,
            elem_id="photo", placeholder="Drop a photo here, or click to choose one", buttons=[],
        )  # fmt: skip
        note = gr.Markdown("", elem_id="note")
        result = gr.ImageSlider(
            label="Before | after: drag the line", interactive=False, format="jpeg", elem_id="result",
            slider_position=0, max_height=560, buttons=["fullscreen"],
        )  # fmt: skip
        notice = gr.Markdown("", elem_id="notice")
        with gr.Row():
            undo, redo, reset = (
                gr.Button(text, size="sm", min_width=60, elem_id=text.lower()) for text in ("Undo", "Redo", "Reset")
            )
            save = gr.Button("Save at full size", variant="primary", size="sm", min_width=120, elem_id="save")
        saved = gr.File(label="The photo at its own size", visible=False, elem_id="saved")
        examples = [str(path) for path in sorted(EXAMPLES.glob("*.jpg"))]
        gr.Examples(examples, photo, label="No photo at hand? Generated people:")
        side = gr.Radio(list(WAYS), value=BOTH, label="Sliders move", elem_id="side", render=False)
        return Stage(photo, note, result, notice, undo, redo, reset, save, saved, side)

    def _edit(self, work: gr.State, stage: "Stage") -> list[gr.Slider]:
        photo, note, result, notice, undo, redo, reset, save, saved, side = stage
        with gr.Row():
            buttons = [gr.Button(name.capitalize(), size="sm", min_width=80) for name in self.emotions]
        named = gr.Dropdown(
            [name for name in NAMED if self._can(name)], value=None, label="Or another expression", elem_id="named"
        )
        strength = gr.Slider(0, 1, 0.8, step=0.01, label="Strength of the expression", buttons=[])
        with gr.Accordion("Copy the expression of another photo", open=False):
            other = gr.Image(
                type="filepath", label="Another face", sources=["upload", "webcam", "clipboard"], height=150,
                elem_id="other", placeholder="Drop a photo of one face here", buttons=[],
            )  # fmt: skip
            regions = gr.CheckboxGroup(list(REGIONS), value=list(REGIONS), label="What is copied")
            copy = gr.Button("Copy", size="sm", elem_id="copy")
        side.render()  # type: ignore[no-untyped-call]
        sliders = self._sliders()
        with_masks = gr.Checkbox(False, label="Show what the network draws", elem_id="masks")
        with gr.Row(visible=False) as drawn:
            options: dict[str, Any] = {"interactive": False, "format": "jpeg", "buttons": []}
            color = gr.Image(label="Colour, C", elem_id="color", **options)
            change = gr.Image(label="What changes, 1 - A", elem_id="mask", **options)
        with gr.Accordion("Recipe", open=False):
            as_json = gr.Code(language="json", label="For --expression", interactive=False, lines=2)
            as_line = gr.Code(language="shell", label="The same as a command", interactive=False, lines=1)
        pictures = [result, color, change, as_json, as_line, notice]
        everything = [work, note, *sliders, *pictures, saved]
        # no preprocessing by Gradio: the handlers report invalid uploads and cleared sliders themselves
        own: dict[str, Any] = {"api_visibility": "private", "preprocess": False}
        quick = own | {"show_progress": "hidden"}
        asked = [work, side, with_masks, *sliders]
        photo.change(self._open, [photo, work, side], everything, **own, **WHOLE)
        photo.select(self._choose, [work, side], everything, **quick)
        gr.on(
            [slider.input for slider in sliders], self._draw, asked, pictures, trigger_mode="always_last",
            queue=False, **quick,
        )  # fmt: skip
        gr.on([slider.release for slider in sliders], self._remember, [work, side, *sliders], work, **quick)
        for button, name in zip(buttons, self.emotions, strict=True):
            preset = self._preset(name)
            button.click(preset, [strength, *asked], [work, *sliders, *pictures], **quick)
        named.input(self._named, [named, strength, *asked], [work, *sliders, *pictures], **quick)
        copy.click(self._copy, [other, regions, strength, *asked], [work, *sliders, *pictures], **own, **WHOLE)
        side.input(self._turn, [work, side], sliders, **quick)
        for button, by in ((undo, -1), (redo, 1), (reset, 0)):
            button.click(self._step(by), asked, [work, *sliders, *pictures], **quick)
        with_masks.change(lambda on: gr.Row(visible=bool(on)), with_masks, drawn, **quick)
        with_masks.change(self._draw, asked, pictures, **quick)
        save.click(self._save, [work, side, *sliders], saved, **own, **WHOLE).success(None, js=DOWNLOAD)
        return sliders

    def _sliders(self) -> list[gr.Slider]:
        """Return a slider for each AU, grouped by region, in the model's order."""
        found: dict[str, gr.Slider] = {}
        for region in REGIONS:
            own = [code for code in self.codes if ACTION_UNITS[code].region == region]
            if own:
                with gr.Accordion(region.capitalize(), open=True), gr.Row():
                    for code in own:
                        found[code] = gr.Slider(
                            0, 1, 0, step=0.01, label=films.plain_name(code), elem_id=code, min_width=180, buttons=[]
                        )
        return [found[code] for code in self.codes]

    @guarded
    @limited("whole")
    def _open(self, upload: dict[str, Any] | None, old: PhotoState | None, side: str) -> list[Any]:
        """Open what came by upload, example, paste or camera; ``None`` if the photo was taken away."""
        if old is not None:
            old.closed = True
        if upload is None or not upload["path"]:
            return self._forget()
        try:
            work = photo_state.open_photo_state(
                self.editor, Path(upload["path"]), self.store.place("before.jpg"), self.max_pixels
            )
        except GanimationError as error:  # the page no longer shows the old photo: reset the controls
            gr.Warning(without_places(str(error)))
            return self._forget()
        return self._all(work, side)

    def _forget(self) -> list[Any]:
        return [None, "", *[0] * len(self.codes), None, None, None, "", "", "", gr.File(visible=False)]

    @guarded
    @limited("drawing")
    def _choose(self, work: PhotoState | None, side: str, event: gr.SelectData) -> list[Any]:
        work = photo_state.need(work)
        number = work.face_at(event.index[0] * work.scale, event.index[1] * work.scale)
        if number is None or number == work.number:
            return [gr.skip()] * (2 + len(self.codes) + 7)
        work.choose(number)
        return self._all(work, side)

    def _all(self, work: PhotoState, side: str) -> list[Any]:
        count = len(work.preview.faces)
        note = f"Face {work.number} of {count}; click another in the photo to work on it. " if count > 1 else ""
        if doubt := work.preview.faces[work.number - 1].face.doubt:
            note += f"This face is doubtful: {doubt}."
        pictures = self._pictures(work, work.asked, masks=True)
        return [work, note, *self._values(work, side), *pictures, gr.File(visible=False)]

    def _values(self, work: PhotoState, side: str) -> list[float]:
        own = photo_state.of_side(work.asked, WAYS.get(side, ""))
        return [round(own[code], 2) for code in self.codes]

    def _asked(self, work: PhotoState, side: str, values: Sequence[object]) -> dict[str, float]:
        """Return the expression that the sliders ask for, which move a side of the face or both."""
        own = photo_state.by_codes(self.codes, values)
        if side != BOTH:
            return photo_state.with_side(work.asked, own, WAYS.get(side, ""))
        apart = {code: value for code, value in work.asked.items() if code.endswith("L")}
        return own | {
            code: value for code, value in apart.items() if abs(own[code[:-1]] - work.asked[code[:-1]]) <= SAME
        }

    @guarded
    def _turn(self, work: PhotoState | None, side: str) -> list[Any]:
        """Show the intensities of another side."""
        return [gr.skip()] * len(self.codes) if work is None else self._values(work, side)

    def _pictures(self, work: PhotoState, asked: dict[str, float], *, masks: bool) -> list[Any]:
        edit = photo_state.draw(work, asked)
        after = photo_state.show(work, edit, self.store.place("after.jpg"))
        drawn: list[Any] = [gr.skip(), gr.skip()]
        if masks:
            drawn = [
                str(photo_state.keep(work, image, self.store.place("mask.jpg"))) for image in photo_state.masks(edit)
            ]
        notice = edit.notice if work.changes(asked) else ""
        return [(str(work.before), str(after)), *drawn, *photo_state.recipe(work, asked), notice]

    @guarded
    @limited("drawing")
    def _draw(self, work: PhotoState | None, side: str, masks: bool, *values: float) -> list[Any]:
        work = photo_state.need(work)
        asked, known = self._asked(work, side, values), work.asked
        pictures = self._pictures(work, asked, masks=masks)
        late = work.closed or (work.asked is not known and not photo_state.is_same(asked, work.asked))
        return [gr.skip()] * len(pictures) if late else pictures

    def _remember(self, work: PhotoState | None, side: str, *values: float) -> Any:
        if work is None or work.closed:
            return gr.skip()
        asked = self._asked(work, side, values)
        if not work.was_undone(asked):  # the click on Undo released the slider
            work.remember(asked)
        return work

    def _answer(self, work: PhotoState, side: str, *, masks: bool) -> list[Any]:
        """Return the updates after a click: session, sliders and pictures; none if the photo was replaced meanwhile."""
        answer = [work, *self._values(work, side), *self._pictures(work, work.asked, masks=masks)]
        return [gr.skip()] * len(answer) if work.closed else answer

    def _preset(self, name: str) -> Callable[..., list[Any]]:
        @guarded
        @limited("drawing")
        def click(
            page: Page, strength: float, work: PhotoState | None, side: str, masks: bool, *values: float
        ) -> list[Any]:
            work = photo_state.need(work)
            work.remember(page._asked(work, side, values))
            work.remember(photo_state.emotion(page.editor, work, name, strength))
            return page._answer(work, side, masks=masks)

        return partial(click, self)

    def _named(self, name: str | None, *values: Any) -> list[Any]:
        if name is None or name not in NAMED:
            raise Refusal("no such expression; choose one of the list")
        found: list[Any] = self._preset(name)(*values)
        return found

    def _step(self, by: int) -> Callable[..., list[Any]]:
        @guarded
        @limited("drawing")
        def click(page: Page, work: PhotoState | None, side: str, masks: bool, *values: float) -> list[Any]:
            work = photo_state.need(work)
            work.remember(page._asked(work, side, values))  # moves by keyboard trigger no release event
            if by:
                work.step(by)
            else:
                work.remember(work.shown)
            return page._answer(work, side, masks=masks)

        return partial(click, self)

    @guarded
    @limited("whole")
    def _copy(
        self, upload: dict[str, Any] | None, regions: Sequence[str], strength: float, work: PhotoState | None,
        side: str, masks: bool, *values: float,
    ) -> list[Any]:  # fmt: skip
        work = photo_state.need(work)
        if upload is None or not upload["path"]:
            raise FaceError("no other photo yet; drop one at Another face")
        if not regions:
            raise ActionUnitError("no region is chosen; choose one at What is copied")
        other = open_photo(Path(upload["path"]), self.max_pixels)
        requests = self.editor.like(other, strength=strength, regions=list(regions))
        work.remember(self._asked(work, side, values))
        wanted = {request.code: request.resolve(work.shown[request.code]) for request in requests}
        work.remember(work.shown | wanted)
        return self._answer(work, side, masks=masks)

    @guarded
    @limited("whole")
    def _save(self, work: PhotoState | None, side: str, *values: float) -> gr.File:
        work = photo_state.need(work)
        path = self.store.place(edited(work.name))
        photo_state.finish(self.editor, work, self._asked(work, side, values), path, self.max_pixels)
        self.turns.faces(1)
        return gr.File(str(path), visible=True)


class Stage(NamedTuple):
    """Components beside every tab."""

    photo: gr.Image
    note: gr.Markdown
    result: gr.ImageSlider
    notice: gr.Markdown
    undo: gr.Button
    redo: gr.Button
    reset: gr.Button
    save: gr.Button
    saved: gr.File
    side: gr.Radio
