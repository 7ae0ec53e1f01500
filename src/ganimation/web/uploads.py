"""Route for uploads, which stores files by visitor; Gradio's own route would put all into one folder."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from ganimation.errors import MediaError
from ganimation.web.middleware import UPLOAD
from ganimation.web.store import Store

#: Files of one request.
FILES = 20


def add_uploads(app: FastAPI, store: Store) -> None:
    """Add the route to an application: files as a form, a list of their places in JSON."""

    @app.post(UPLOAD)
    async def upload(request: Request) -> Any:
        async with request.form(max_files=FILES, max_fields=FILES) as form:
            given = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            try:
                places = [
                    str(await run_in_threadpool(store.take, file.filename or "", file.file, file.size or 0))
                    for file in given
                ]
            except MediaError as error:
                return PlainTextResponse(str(error), status_code=507)
        return JSONResponse(places)

    @app.get(f"{UPLOAD}_progress")
    async def progress() -> Any:
        """Answer queries of upload progress with ``done``, since progress is not reported."""
        return PlainTextResponse('data: {"msg": "done"}\n\n', media_type="text/event-stream")
