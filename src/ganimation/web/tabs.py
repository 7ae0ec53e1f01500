"""The tabs beside the editing one: films of the photo, the photo driven by others, and measurements."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ganimation.action_units import REGIONS
from ganimation.editing.editor import Editor
from ganimation.editing.live import LiveDriver
from ganimation.media.clip import is_clip
from ganimation.web import films, photo_state
from ganimation.web.guards import AT_ONCE, ConcurrencyLimits, guarded, is_frame, limited
from ganimation.web.photo_state import PhotoState
from ganimation.web.store import Store


@dataclass
class Tabs:
    """The tabs of one page.

    Args:
        editor: shared by all visitors.
        store: where files of visitors lie.
        max_pixels: of a photo.
        turns: shared with the page.
        emotions: that the model can show.
        asked: returns the expression that sliders ask for, of a photo, a side of the face and their values.
    """

    editor: Editor
    store: Store
    max_pixels: int
    turns: ConcurrencyLimits
    emotions: Sequence[str]
    asked: Callable[[PhotoState, str, Sequence[object]], dict[str, float]]

    def animate(self, work: gr.State, sliders: list[gr.Slider], side: gr.Radio) -> None:
        """Add what makes a film from one expression to another."""
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
        work.remember(self.asked(work, side, values))
        ends = [self._expression(work, name) for name in (first, last)]
        path = self.store.place(f"animation.{kind.lower()}")
        films.animate(self.editor, work, ends, path, easing, seconds, back=back, progress=progress)
        return films.shown(path)

    def _expression(self, work: PhotoState, name: str) -> dict[str, float]:
        if name == "as in the photo":
            return work.shown
        return work.asked if name == "as the sliders say" else photo_state.emotion(self.editor, work, name, 1.0)

    def drive(self, work: gr.State) -> None:
        """Add what moves the photo as a film, or live as the camera does."""
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
        live: films.LivePhoto | None,
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

    def measure(self) -> None:
        """Add what shows the intensities of a photo or a film."""
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
