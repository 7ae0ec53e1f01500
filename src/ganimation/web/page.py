"""The Gradio page: its tabs and event handlers. The state of a visitor is held in their session."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from ganimation.action_units import ACTION_UNITS, EMOTIONS, REGIONS
from ganimation.editing.editor import Editor
from ganimation.errors import ActionUnitError, GanimationError
from ganimation.media.clip import is_clip
from ganimation.web import films, photo_state
from ganimation.web.guards import WHOLE, ConcurrencyLimits, Events, guarded, limited, without_places
from ganimation.web.http_api import HttpApi, edited
from ganimation.web.photo_state import PhotoState
from ganimation.web.store import Store

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
@media (min-width: 800px) { #left { position: sticky; top: 8px; align-self: flex-start; } }
@media (max-width: 799px) {
  #left { display: contents; }
  #result { position: sticky; top: 0; z-index: 5; }
  #result img { max-height: 42vh; }
}
"""


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
            with gr.Tabs():
                with gr.Tab("Edit", id="edit"):
                    sliders = self._edit(work)
                with gr.Tab("Animate", id="animate"):
                    self._animate(work, sliders)
                with gr.Tab("Drive", id="drive"):
                    self._drive(work)
                with gr.Tab("Measure", id="measure"):
                    self._measure()
            HttpApi(self.editor, self.store, self.max_pixels, self.turns).build()
        page.queue(max_size=64, default_concurrency_limit=2, api_open=False)
        return page

    # ---- Edit

    def _edit(self, work: gr.State) -> list[gr.Slider]:
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=300, elem_id="left"):
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
                        gr.Button(text, size="sm", min_width=60, elem_id=text.lower())
                        for text in ("Undo", "Redo", "Reset")
                    )
                    save = gr.Button("Save at full size", variant="primary", size="sm", min_width=120, elem_id="save")
                saved = gr.File(label="The photo at its own size", visible=False, elem_id="saved")
                examples = [str(path) for path in sorted(EXAMPLES.glob("*.jpg"))]
                gr.Examples(examples, photo, label="No photo at hand? Generated people:")
            with gr.Column(scale=4, min_width=300):
                with gr.Row():
                    buttons = [gr.Button(name.capitalize(), size="sm", min_width=80) for name in self.emotions]
                strength = gr.Slider(0, 1, 0.8, step=0.01, label="Strength of the expression", buttons=[])
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
        asked = [work, with_masks, *sliders]
        photo.change(self._open, [photo, work], everything, **own, **WHOLE)
        photo.select(self._choose, work, everything, **quick)
        gr.on(
            [slider.input for slider in sliders], self._draw, asked, pictures, trigger_mode="always_last",
            queue=False, **quick,
        )  # fmt: skip
        gr.on([slider.release for slider in sliders], self._remember, [work, *sliders], work, **quick)
        for button, name in zip(buttons, self.emotions, strict=True):
            preset = self._preset(name)
            button.click(preset, [strength, *asked], [work, *sliders, *pictures], **quick)
        for button, by in ((undo, -1), (redo, 1), (reset, 0)):
            button.click(self._step(by), asked, [work, *sliders, *pictures], **quick)
        with_masks.change(lambda on: gr.Row(visible=bool(on)), with_masks, drawn, **quick)
        with_masks.change(self._draw, asked, pictures, **quick)
        save.click(self._save, [work, *sliders], saved, **own, **WHOLE)
        return sliders

    def _sliders(self) -> list[gr.Slider]:
        """Return a slider for each AU, grouped by region, in the model's order."""
        found: dict[str, gr.Slider] = {}
        for region in REGIONS:
            own = [code for code in self.codes if ACTION_UNITS[code].region == region]
            if own:
                with gr.Accordion(region.capitalize(), open=True), gr.Row():
                    for code in own:
                        name = ACTION_UNITS[code].name
                        label = f"{name.capitalize()}, {code}"
                        found[code] = gr.Slider(
                            0, 1, 0, step=0.01, label=label, elem_id=code, min_width=180, buttons=[]
                        )
        return [found[code] for code in self.codes]

    @guarded
    @limited("whole")
    def _open(self, upload: dict[str, Any] | None, old: PhotoState | None) -> list[Any]:
        """Open what came by upload, example, paste or camera; ``None`` if the photo was taken away."""
        if old is not None:
            old.closed = True
        if upload is None:
            return self._forget()
        try:
            work = photo_state.open_photo_state(
                self.editor, Path(upload["path"]), self.store.place("before.jpg"), self.max_pixels
            )
        except GanimationError as error:  # the page no longer shows the old photo: reset the controls
            gr.Warning(without_places(str(error)))
            return self._forget()
        return self._all(work)

    def _forget(self) -> list[Any]:
        return [None, "", *[0] * len(self.codes), None, None, None, "", "", "", gr.File(visible=False)]

    @guarded
    @limited("drawing")
    def _choose(self, work: PhotoState | None, event: gr.SelectData) -> list[Any]:
        work = photo_state.need(work)
        number = work.face_at(event.index[0] * work.scale, event.index[1] * work.scale)
        if number is None or number == work.number:
            return [gr.skip()] * (2 + len(self.codes) + 7)
        work.choose(number)
        return self._all(work)

    def _all(self, work: PhotoState) -> list[Any]:
        count = len(work.preview.faces)
        note = f"Face {work.number} of {count}; click another in the photo to work on it. " if count > 1 else ""
        if doubt := work.preview.faces[work.number - 1].face.doubt:
            note += f"This face is doubtful: {doubt}."
        pictures = self._pictures(work, work.asked, masks=True)
        return [work, note, *self._values(work), *pictures, gr.File(visible=False)]

    def _values(self, work: PhotoState) -> list[float]:
        return [round(work.asked[code], 2) for code in self.codes]

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
    def _draw(self, work: PhotoState | None, masks: bool, *values: float) -> list[Any]:
        work = photo_state.need(work)
        asked, known = photo_state.by_codes(self.codes, values), work.asked
        pictures = self._pictures(work, asked, masks=masks)
        late = work.closed or (work.asked is not known and not photo_state.is_same(asked, work.asked))
        return [gr.skip()] * len(pictures) if late else pictures

    def _remember(self, work: PhotoState | None, *values: float) -> Any:
        asked = photo_state.by_codes(self.codes, values)
        if work is None or work.closed:
            return gr.skip()
        if not work.was_undone(asked):  # the click on Undo released the slider
            work.remember(asked)
        return work

    def _answer(self, work: PhotoState, *, masks: bool) -> list[Any]:
        """Return the updates after a click: session, sliders and pictures; none if the photo was replaced meanwhile."""
        answer = [work, *self._values(work), *self._pictures(work, work.asked, masks=masks)]
        return [gr.skip()] * len(answer) if work.closed else answer

    def _preset(self, name: str) -> Callable[..., list[Any]]:
        @guarded
        @limited("drawing")
        def click(page: Page, strength: float, work: PhotoState | None, masks: bool, *values: float) -> list[Any]:
            work = photo_state.need(work)
            work.remember(photo_state.by_codes(page.codes, values))
            work.remember(photo_state.emotion(page.editor, work, name, strength))
            return page._answer(work, masks=masks)

        return partial(click, self)

    def _step(self, by: int) -> Callable[..., list[Any]]:
        @guarded
        @limited("drawing")
        def click(page: Page, work: PhotoState | None, masks: bool, *values: float) -> list[Any]:
            work = photo_state.need(work)
            work.remember(photo_state.by_codes(page.codes, values))  # moves by keyboard trigger no release event
            if by:
                work.step(by)
            else:
                work.remember(work.shown)
            return page._answer(work, masks=masks)

        return partial(click, self)

    @guarded
    @limited("whole")
    def _save(self, work: PhotoState | None, *values: float) -> gr.File:
        work = photo_state.need(work)
        path = self.store.place(edited(work.name))
        photo_state.finish(self.editor, work, photo_state.by_codes(self.codes, values), path, self.max_pixels)
        return gr.File(str(path), visible=True)

    # ---- Animate

    def _animate(self, work: gr.State, sliders: list[gr.Slider]) -> None:
        gr.Markdown("The photo of the first tab, from one expression to another.")
        choices = ["as in the photo", "as the sliders say", *self.emotions]
        with gr.Row():
            first = gr.Dropdown(choices, value="as in the photo", label="From")
            last = gr.Dropdown(choices, value="as the sliders say", label="To")
            easing = gr.Dropdown(["smooth", "linear"], value="smooth", label="Easing")
            seconds = gr.Slider(0.5, films.LONGEST, 2, step=0.5, label="Seconds", buttons=[])
            kind = gr.Radio(films.kinds(), value=films.kinds()[0], label="Format")
            back = gr.Checkbox(True, label="And back")
        make = gr.Button("Animate", variant="primary", elem_id="make-animation")
        self._film_outputs(
            make, "animate", self._make_animation, [work, first, last, easing, seconds, kind, back, *sliders]
        )

    @guarded
    @limited("film")
    def _make_animation(
        self, work: PhotoState | None, first: str, last: str, easing: str, seconds: float, kind: str, back: bool,
        progress: gr.Progress = gr.Progress(), *values: float,  # noqa: B008 - how Gradio asks for it
    ) -> list[Any]:  # fmt: skip
        work = photo_state.need(work)
        work.remember(photo_state.by_codes(self.codes, values))
        ends = [self._expression(work, name) for name in (first, last)]
        path = self.store.place(f"animation.{kind.lower()}")
        films.animate(self.editor, work, ends, path, easing, seconds, back=back, progress=progress)
        return films.shown(path)

    def _expression(self, work: PhotoState, name: str) -> dict[str, float]:
        if name == "as in the photo":
            return work.shown
        return work.asked if name == "as the sliders say" else photo_state.emotion(self.editor, work, name, 1.0)

    # ---- Drive

    def _drive(self, work: gr.State) -> None:
        gr.Markdown("The photo of the first tab moves as the face of a film does. Begin with a face at rest.")
        with gr.Row():
            film = gr.Video(
                elem_id="driver", label="Film, or the camera", sources=["upload", "webcam"], height=260, buttons=[]
            )
            with gr.Column():
                strength = gr.Slider(0, 2, 1, step=0.05, label="Strength", buttons=[])
                regions = gr.CheckboxGroup(list(REGIONS), value=list(REGIONS), label="What moves")
                kind = gr.Radio(films.kinds(), value=films.kinds()[0], label="Format")
                make = gr.Button("Drive", variant="primary", elem_id="make-driven")
        self._film_outputs(make, "drive", self._make_driven, [work, film, strength, regions, kind])

    @guarded
    @limited("film")
    def _make_driven(
        self, work: PhotoState | None, film: str | None, strength: float, regions: Sequence[str], kind: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:  # fmt: skip
        work = photo_state.need(work)
        path = self.store.place(f"driven.{kind.lower()}")
        films.drive(self.editor, work, film, path, strength, regions, progress)
        return films.shown(path)

    def _film_outputs(self, make: gr.Button, name: str, function: Callable[..., Any], inputs: list[Any]) -> None:
        options: dict[str, Any] = {"visible": False, "height": 420, "buttons": []}
        video = gr.Video(label="Film", autoplay=True, loop=True, elem_id=f"{name}-video", **options)
        picture = gr.Image(label="Film", elem_id=f"{name}-picture", **options)
        file = gr.File(label="Download", visible=False, elem_id=f"{name}-file")
        outputs = [video, picture, file]
        make.click(function, inputs, outputs, api_visibility="private", concurrency_id="film", concurrency_limit=1)

    # ---- Measure

    def _measure(self) -> None:
        gr.Markdown("Which muscles a photo or a film shows, 0 to 1.")
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                file = gr.File(label="Photo or film", file_count="single", height=140, elem_id="measured")
                make = gr.Button("Measure", variant="primary", elem_id="make-measure")
                table = gr.File(label="As CSV", visible=False, elem_id="measure-file")
            with gr.Column(scale=2, min_width=300):
                bars = gr.BarPlot(
                    x="AU", y="intensity", color="face", y_lim=[0, 1], visible=False, height=340, sort=None,
                    elem_id="bars", buttons=[], x_label_angle=-50, x_title="",
                )  # fmt: skip
                lines = gr.LinePlot(
                    x="seconds",
                    y="intensity",
                    color="AU",
                    y_lim=[0, 1],
                    visible=False,
                    height=380,
                    buttons=[],
                    elem_id="lines",
                )
        make.click(self._read, file, [bars, lines, table], api_visibility="private", concurrency_limit=1)

    @guarded
    @limited("measurement")
    def _read(self, path: str | None, progress: gr.Progress = gr.Progress()) -> list[Any]:  # noqa: B008
        if path is not None and is_clip(path):
            return films.measure_film(self.editor, path, self.store, progress)
        with self.turns.held("whole"):
            return films.measure_photo(self.editor, path, self.store, self.max_pixels)
