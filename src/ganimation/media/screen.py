"""Where live pictures go: a window, or a virtual camera that other programs see."""

import contextlib
import io
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganimation.errors import MediaError, first_line, require

Pixels = NDArray[np.uint8]


class Screen(Protocol):
    """A place for live pictures; a context manager.

    Attributes:
        closed: whether its user has closed it.
    """

    closed: bool

    def show(self, pixels: Pixels, text: str) -> None:
        """Show a picture (RGB uint8, (H, W, 3)), all of one size, and a text where there is a place for one."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


class Window:
    """A window of Tk; closing it or Escape ends.

    Raises:
        MediaError: there is no Tk or no display.
    """

    def __init__(self) -> None:
        try:
            import tkinter
        except ImportError as error:
            raise MediaError("--to window: this Python has no Tk; on Debian install python3-tk") from error
        try:
            self._root = tkinter.Tk(className="ganimation")
        except tkinter.TclError as error:
            raise MediaError(f"--to window: no display ({first_line(error)})") from error
        self.closed = False
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        self._root.bind("<Escape>", lambda event: self._close())
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._picture: Any = None
        self._tk = tkinter

    def _close(self) -> None:
        self.closed = True

    def show(self, pixels: Pixels, text: str) -> None:
        """Show a picture; the text is the window's title."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PPM")
        picture = self._tk.PhotoImage(data=buffer.getvalue(), format="PPM")
        self._label.configure(image=picture)
        self._picture = picture  # Tk keeps no reference of its own
        self._root.title(f"ganimation: {text}" if text else "ganimation")
        self._root.update()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the window."""
        with contextlib.suppress(self._tk.TclError):
            self._root.destroy()


class VirtualCamera:
    """A virtual camera (``pyvirtualcam``): v4l2loopback on Linux, OBS's on Windows and macOS.

    Args:
        device: such as ``/dev/video9``; empty for the first.
        rate: frames a second that it reports.

    Raises:
        MissingExtraError: the extra ``camera`` is not installed.
        MediaError: there is no such device.
    """

    closed = False

    def __init__(self, device: str, rate: float) -> None:
        self._module = require("pyvirtualcam", "camera")
        self._device, self._rate, self._camera = device, rate, None

    def show(self, pixels: Pixels, text: str) -> None:
        """Send a picture; its sides are cut to even numbers."""
        height, width = (side // 2 * 2 for side in pixels.shape[:2])
        if self._camera is None:
            try:
                self._camera = self._module.Camera(width, height, self._rate, device=self._device or None)
            except (RuntimeError, OSError) as error:
                raise MediaError(
                    f"--to {self._device or 'camera'}: no such virtual camera ({first_line(error)}); on Linux load "
                    "v4l2loopback, elsewhere install OBS"
                ) from error
        assert self._camera is not None
        self._camera.send(np.ascontiguousarray(pixels[:height, :width]))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the device back."""
        if self._camera is not None:
            self._camera.close()


def open_screen(name: str, rate: float) -> Window | VirtualCamera:
    """Return a screen: ``window``, ``camera`` for the first virtual camera, or the path of one.

    Raises:
        MediaError: another name, or it cannot be opened.
        MissingExtraError: an extra is not installed.
    """
    if name == "window":
        return Window()
    if name == "camera" or name.startswith("/dev/video"):
        return VirtualCamera("" if name == "camera" else name, rate)
    raise MediaError(f"--to {name}: it is window, camera, or a device like /dev/video9")
