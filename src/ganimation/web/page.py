"""The Gradio page: its tabs and event handlers. The state of a visitor is held in their session."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from ganimation.action_units import ACTION_UNITS, EMOTIONS, REGIONS
from ganimation.editing.editor import Editor
from ganimation.editing.live import LiveDriver
from ganimation.editing.result import SAME
from ganimation.errors import ActionUnitError, FaceError, GanimationError
from ganimation.expressions import NAMED
from ganimation.media.clip import is_clip
from ganimation.web import films, photo_state
from ganimation.web.guards import (
    AT_ONCE,
    WHOLE,
    ConcurrencyLimits,
    Events,
    Refusal,
    guarded,
    is_frame,
    limited,
    without_places,
)
from ganimation.web.http_api import HttpApi, edited
from ganimation.web.media import open_photo
from ganimation.web.photo_state import PhotoState
from ganimation.web.store import Store

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
                        self._animate(work, sliders, stage.side)
                    with gr.Tab("Drive", id="drive"):
                        self._drive(work)
                    with gr.Tab("Measure", id="measure"):
                        self._measure()
            page.load(None, js=TOOLTIPS % json.dumps({code: films.muscle(code) for code in self.codes}))
            HttpApi(self.editor, self.store, self.max_pixels, self.turns).build()
        page.queue(max_size=QUEUE, default_concurrency_limit=2, api_open=False)
        return page

    # ---- Edit

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

    # ---- Animate

    def _animate(self, work: gr.State, sliders: list[gr.Slider], side: gr.Radio) -> None:
        gr.Markdown("The photo, from one expression to another.")
        choices = ["as in the photo", "as the sliders say", *self.emotions]
        with gr.Row():
            first = gr.Dropdown(choices, value="as in the photo", label="From", min_width=220)
            last = gr.Dropdown(choices, value="as the sliders say", label="To", min_width=220)
            easing = gr.Dropdown(["smooth", "linear"], value="smooth", label="Easing")
            seconds = gr.Slider(0.5, films.LONGEST, 2, step=0.5, label="Seconds", buttons=[])
            kind = gr.Radio(films.kinds(), value=films.kinds()[0], label="Format")
            back = gr.Checkbox(True, label="And back")
        make = gr.Button("Animate", variant="primary", elem_id="make-animation")
        self._film_outputs(
            make, "animate", self._make_animation, [work, side, first, last, easing, seconds, kind, back, *sliders]
        )

    @guarded
    @limited("film")
    def _make_animation(
        self, work: PhotoState | None, side: str, first: str, last: str, easing: str, seconds: float, kind: str,
        back: bool, progress: gr.Progress = gr.Progress(), *values: float,  # noqa: B008 - how Gradio asks for it
    ) -> list[Any]:  # fmt: skip
        work = photo_state.need(work)
        work.remember(self._asked(work, side, values))
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
        gr.Markdown("The photo moves as the face of a film does. Begin with a face at rest.")
        with gr.Row():
            film = gr.Video(elem_id="driver", label="Film", sources=["upload", "webcam"], height=260, buttons=[])
            with gr.Column():
                strength = gr.Slider(0, 2, 1, step=0.05, label="Strength", buttons=[])
                regions = gr.CheckboxGroup(list(REGIONS), value=list(REGIONS), label="What moves")
                kind = gr.Radio(films.kinds(), value=films.kinds()[0], label="Format")
                make = gr.Button("Drive", variant="primary", elem_id="make-driven")
        self._film_outputs(make, "drive", self._make_driven, [work, film, strength, regions, kind])
        with gr.Accordion("Live, by the camera of this browser", open=False):
            gr.Markdown("Start the camera and look into it at rest for a second; the photo is at rest until then.")
            with gr.Row():
                camera = gr.Image(
                    sources=["webcam"], streaming=True, label="Camera", elem_id="live-camera", height=240, buttons=[],
                )  # fmt: skip
                moved = gr.Image(
                    interactive=False, label="The photo", elem_id="live-photo", height=240, format="jpeg", buttons=[]
                )
            latency = gr.Markdown("", elem_id="live-latency")
            live = gr.State(None, time_to_live=600)
            camera.stream(
                self._live, [camera, work, strength, regions, live], [moved, latency, live], stream_every=0.1,
                time_limit=films.LONGEST_LIVE, show_progress="hidden", api_visibility="private", preprocess=False,
                concurrency_id="live", concurrency_limit=AT_ONCE["live"],
            )  # fmt: skip

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

    @guarded
    @limited("live")
    def _live(
        self, frame: dict[str, Any] | None, work: PhotoState | None, strength: float, regions: Sequence[str],
        live: "films.LivePhoto | None",
    ) -> list[Any]:  # fmt: skip
        if frame is None or not is_frame(frame.get("url")):  # the camera has begun and given nothing yet
            return [gr.skip()] * 3
        work = photo_state.need(work)
        asked = (id(work), work.number, strength, tuple(regions))
        if live is None or live.asked != asked:
            live = films.LivePhoto(asked, LiveDriver(photo_state.chosen(work), self.editor.reader, strength, regions))
        picture = live.show(frame["url"], self.store.place("frame.jpg"), self.max_pixels)
        path = photo_state.keep(work, picture, self.store.place("live.jpg"))
        return [str(path), live.text(), live]

    def _film_outputs(self, make: gr.Button, name: str, function: Callable[..., Any], inputs: list[Any]) -> None:
        status = gr.Markdown("", elem_id=f"{name}-status", min_height=40)
        options: dict[str, Any] = {"visible": False, "height": 420, "buttons": []}
        video = gr.Video(label="Film", autoplay=True, loop=True, elem_id=f"{name}-video", **options)
        picture = gr.Image(label="Film", elem_id=f"{name}-picture", **options)
        file = gr.File(label="Download", visible=False, elem_id=f"{name}-file")
        once_at_a_time(make, function, inputs, [video, picture, file], status, concurrency_id="film")

    # ---- Measure

    def _measure(self) -> None:
        gr.Markdown("Which muscles a photo or a film shows, 0 to 1.")
        with gr.Row(), gr.Column(scale=1, min_width=260):
            file = gr.File(label="Photo or film", file_count="single", height=140, elem_id="measured")
            make = gr.Button("Measure", variant="primary", elem_id="make-measure")
            table = gr.File(label="As CSV", visible=False, elem_id="measure-file")
        status = gr.Markdown("", elem_id="measure-status", min_height=40)
        bars = gr.HTML(visible=False, elem_id="bars")
        lines = gr.LinePlot(
            x="seconds", y="intensity", color="AU", y_lim=[0, 1], visible=False, height=380, buttons=[],
            elem_id="lines",
        )  # fmt: skip
        once_at_a_time(make, self._read, [file], [bars, lines, table], status, concurrency_id="measurement")

    @guarded
    @limited("measurement")
    def _read(self, path: str | None, progress: gr.Progress = gr.Progress()) -> list[Any]:  # noqa: B008
        if path is not None and is_clip(path):
            return films.measure_film(self.editor, path, self.store, progress)
        with self.turns.held("whole"):
            return films.measure_photo(self.editor, path, self.store, self.max_pixels)


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


def once_at_a_time(
    make: gr.Button, function: Callable[..., Any], inputs: list[Any], outputs: list[Any], status: gr.Markdown, *,
    concurrency_id: str,
) -> None:  # fmt: skip
    """Call a function at a click: the button is off and progress is shown on ``status`` from the click to the end."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    begun = make.click(
        lambda: (gr.Button(interactive=False), "Working ..."), None, [make, status], queue=False, **private
    )
    done = begun.then(
        function, inputs, outputs, api_visibility="private", show_progress_on=status, concurrency_id=concurrency_id,
        concurrency_limit=1,
    )  # fmt: skip
    done.then(lambda: (gr.Button(interactive=True), ""), None, [make, status], queue=False, **private)
