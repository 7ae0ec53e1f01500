"""What an operator watches: whether the page lives and is ready, and counts and times for Prometheus."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from ganimation.errors import GanimationError, require

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: Answered to anybody under any name, since probes of an orchestrator come by address; they say nothing but this.
LIVE, READY = "/healthz", "/readyz"


class Metrics:
    """Counts and times of one page.

    Attributes:
        registry: of ``prometheus_client``.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        """Begin at 0.

        Args:
            waiting: returns how many events wait in the queue.
        """
        client = require("prometheus_client", "web")
        self.registry = client.CollectorRegistry()
        options: dict[str, Any] = {"registry": self.registry}
        self._requests = client.Counter("ganimation_requests", "Requests answered", ["kind", "status"], **options)
        self._seconds = client.Histogram("ganimation_request_seconds", "Until the answer ended", ["kind"], **options)
        self._work = client.Histogram(
            "ganimation_work_seconds", "Of a computation, with waiting for its turn", ["kind"], **options
        )
        self._refused = client.Counter("ganimation_turns_refused", "Computations that got no turn", ["kind"], **options)
        self._faces = client.Counter("ganimation_faces", "Faces drawn for saving", **options)
        client.Gauge("ganimation_queue", "Events that wait", **options).set_function(waiting)

    def request(self, kind: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(kind, str(status)).inc()
        self._seconds.labels(kind).observe(seconds)

    def work(self, kind: str, seconds: float, *, refused: bool) -> None:
        """Count a computation of a kind of :data:`ganimation.web.guards.AT_ONCE`."""
        if refused:
            self._refused.labels(kind).inc()
        else:
            self._work.labels(kind).observe(seconds)

    def faces(self, count: int) -> None:
        """Count faces that were drawn at full size."""
        self._faces.inc(count)

    def serve(self, host: str, port: int) -> None:
        """Answer Prometheus at an address of its own, in a thread that ends with the process.

        Raises:
            GanimationError: the port is taken.
        """
        try:
            require("prometheus_client", "web").start_http_server(port, host, self.registry)
        except OSError as error:
            raise GanimationError(f"--metrics-port {port}: cannot be listened at ({error}); choose another") from error


def kind_of(path: str) -> str:
    """Return what a request is for: ``page``, ``file``, ``upload``, ``frame`` of a camera, or ``event``."""
    rest = path.removeprefix("/gradio_api/")
    if rest == path:
        return "page"
    first = rest.partition("/")[0].partition("=")[0]
    return {"file": "file", "upload": "upload", "stream": "frame"}.get(first, "event")


@dataclass
class Observed:
    """ASGI middleware that counts requests and answers probes.

    Args:
        app: the page.
        metrics: where they are counted.
        ready: whether the page can take more.
    """

    app: Callable[[Scope, Receive, Send], Awaitable[None]]
    metrics: Metrics
    ready: Callable[[], bool]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe, or pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] in (LIVE, READY):
            fine = scope["path"] == LIVE or self.ready()
            content = b"ok" if fine else b"busy"
            headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(content)).encode())]
            await send({"type": "http.response.start", "status": 200 if fine else 503, "headers": headers})
            await send({"type": "http.response.body", "body": content if scope["method"] != "HEAD" else b""})
            return
        began, status = time.perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, counted)
        finally:
            self.metrics.request(kind_of(scope["path"]), status, time.perf_counter() - began)
