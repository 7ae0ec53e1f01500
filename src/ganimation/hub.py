"""Where models are found by name: the bundled weights, a folder, or a repository of the Hugging Face Hub.

The Hub is asked only for a name that is no folder, by ``huggingface_hub`` (extra ``hub``), whose settings hold: its
cache, ``HF_HUB_OFFLINE``, ``HF_ENDPOINT``, and the token of ``hf auth login``.
"""

import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ganimation.errors import DatasetError, MissingExtraError, ModelError, first_line, require
from ganimation.model import CARD, CONFIG, CRITIC, GENERATOR, ONNX, RESTORER, ModelConfig, bundled

#: Files of a model. Nothing else is downloaded or uploaded; none of them is a pickle.
FILES = (CONFIG, CARD, GENERATOR, CRITIC, ONNX, RESTORER, "generator-*.onnx")
#: Files of a data set, likewise.
DATASET_FILES = ("dataset.json", "*.parquet")
#: ``owner/name``, and after an at sign a branch, tag or commit.
REPOSITORY = re.compile(r"(?P<name>[\w][\w.-]*/[\w][\w.-]*)(@(?P<revision>[\w./-]+))?")
#: At the head of the card on the Hub, which indexes models by it.
HEADER = """---
library_name: ganimation
pipeline_tag: image-to-image
tags:
- ganimation
- facial-expression
- action-units
- onnx
---

"""


def find_model(name: str | os.PathLike[str] | None = None, revision: str | None = None) -> Path:
    """Return the folder of a model.

    Args:
        name: a folder; ``None`` or ``bundled`` for the weights that ship; or ``owner/name`` or ``owner/name@revision``
            of a repository of the Hub, which is downloaded once.
        revision: of a repository, a branch, tag or commit; the newest one of its main branch if ``None``.

    Raises:
        ModelError: no such folder or repository, a private one, no such revision, no network, or no model in it.
        MissingExtraError: ``huggingface_hub`` is not installed.
    """
    if name is None or str(name) == "bundled":
        if revision is not None:
            raise ModelError(f"revision {revision}: the bundled weights have none; leave it out")
        return bundled()
    path, repository = Path(name), REPOSITORY.fullmatch(str(name))
    if path.exists() or repository is None:
        if revision is not None:
            raise ModelError(f"revision {revision}: {name} is a folder or none, and not a repository; leave it out")
        return path
    if revision and repository["revision"]:
        raise ModelError(f"{name}: names a revision, and {revision} is asked beside it; name one")
    return _download(repository["name"], revision or repository["revision"])


def download_dataset(name: str) -> Path:
    """Return the folder of a data set of the Hub, which is downloaded once.

    Args:
        name: ``owner/name`` or ``owner/name@revision``.

    Raises:
        DatasetError: no such repository, a private one, no such revision, or no network.
        MissingExtraError: ``huggingface_hub`` is not installed.
    """
    found = REPOSITORY.fullmatch(name)
    if found is None:
        raise DatasetError(f"hf://{name}: it is hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    return _snapshot(found["name"], found["revision"], "dataset", DATASET_FILES)


def _download(name: str, revision: str | None) -> Path:
    what = f"{name}, revision {revision}" if revision else name
    try:
        folder = _snapshot(name, revision, "model", FILES)
    except MissingExtraError as error:
        raise MissingExtraError(
            f"{what}: no such model folder; if a repository of the Hub is meant, {error}"
        ) from error
    if not (folder / CONFIG).exists():
        raise ModelError(
            f"{what}: no model of this program (no {CONFIG}); weights in other forms, as pickles, are never loaded"
        )
    return folder


def _snapshot(name: str, revision: str | None, kind: str, patterns: Sequence[str]) -> Path:
    """Return the folder of a repository's files in the Hub's cache.

    Args:
        name: ``owner/name``.
        revision: a branch, tag or commit.
        kind: ``model`` or ``dataset``.
        patterns: of the files to download.
    """
    what = f"{name}, revision {revision}" if revision else name
    hub = require("huggingface_hub", "hub")
    utils = require("huggingface_hub.utils", "hub")
    utils.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        utils.disable_progress_bars()
    try:
        return Path(hub.snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=list(patterns)))
    except Exception as error:  # it raises classes of its own, of its HTTP library and of the disk
        raise (ModelError if kind == "model" else DatasetError)(_reason(error, what)) from error


def _reason(error: Exception, what: str) -> str:
    """Return one line that says why the Hub gave nothing."""
    errors = require("huggingface_hub.errors", "hub")
    if isinstance(error, errors.GatedRepoError):
        return f"{what}: its owner lets in whom they accepted; ask on its page, then run `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{what}: the repository has no such branch, tag or commit"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{what}: no such folder here, and no such repository on the Hub, or a private one (`hf auth login`)"
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled | OSError):
        return f"{what}: no such folder here, not in the cache, and the Hub cannot be reached"
    return f"{what}: the Hub refused ({first_line(error)})"


def check_repository(name: str) -> None:
    """Check a name to upload to before anything is made for it.

    Raises:
        ModelError: it is not ``owner/name``.
        MissingExtraError: ``huggingface_hub`` is not installed.
    """
    found = REPOSITORY.fullmatch(name)
    if found is None or found["revision"]:
        raise ModelError(f"--push {name}: it is OWNER/NAME of a repository on the Hub")
    require("huggingface_hub", "hub")


def push(folder: Path, name: str) -> str:
    """Upload a model folder to the Hub as one commit; return its address. The repository is made, private, if missing.

    Args:
        folder: of the model.
        name: ``owner/name``.

    Raises:
        ModelError: not a model folder, not logged in, no right to write there, or no network.
        MissingExtraError: ``huggingface_hub`` is not installed.
    """
    check_repository(name)
    hub, errors = require("huggingface_hub", "hub"), require("huggingface_hub.errors", "hub")
    ModelConfig.read(folder)
    card = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).exists() else ""
    try:
        with tempfile.TemporaryDirectory() as scratch:
            headed = Path(scratch) / CARD
            headed.write_text(card if card.startswith("---\n") else HEADER + card, encoding="utf-8")
            api = hub.HfApi()
            api.create_repo(name, private=True, exist_ok=True)
            paths = [path for pattern in FILES if pattern != CARD for path in sorted(folder.glob(pattern))]
            operations = [
                hub.CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=path) for path in (*paths, headed)
            ]
            done = api.create_commit(name, operations, commit_message="Upload a model of ganimation")
    except Exception as error:  # as above
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403) or isinstance(error, errors.LocalTokenNotFoundError):
            raise ModelError(f"{name}: the Hub does not let you write there; run `hf auth login`") from error
        raise ModelError(f"{name}: not uploaded ({first_line(error)})") from error
    return str(done.commit_url)
