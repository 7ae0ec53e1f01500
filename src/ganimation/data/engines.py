"""Engines of preparation: what turns parts that are missing into bytes, on this machine's cores or on a Ray cluster.

An engine gets the plan and the parts and yields number and bytes of each part, in any order; whoever called it writes
them. So the disk of the data set is one machine's, workers need none, and what was written is never made again.
"""

import logging
import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from typing import Any

from ganimation.data.parts import Part, Plan, make_part
from ganimation.errors import DatasetError, first_line, require

#: Seconds within which a cluster's head has to answer.
PATIENCE = 10
MakePart = Callable[[Plan, Part], bytes]
Made = Iterator[tuple[int, bytes]]
Engine = Callable[[Plan, Sequence[Part]], Made]


@dataclass(frozen=True)
class LocalEngine:
    """Processes of this machine.

    Attributes:
        jobs: how many; as many as cores if ``None``.
    """

    jobs: int | None = None

    def __call__(self, plan: Plan, parts: Sequence[Part]) -> Made:
        """Yield the parts as they are done.

        Raises:
            DatasetError: a process ended.
        """
        workers = min(self.jobs or os.cpu_count() or 1, max(1, len(parts)))
        with ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent) as pool:
            tasks: dict[Future[bytes], int] = {pool.submit(make_part, plan, part): part.number for part in parts}
            try:
                for task in as_completed(list(tasks)):
                    yield tasks.pop(task), task.result()
            except BrokenProcessPool as error:
                raise DatasetError("a process ended (out of memory?); run again to go on, with fewer --jobs") from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)  # wait for running tasks, cancel queued ones


def _end_with_parent() -> None:
    """End this worker process when its parent process has ended, for whatever reason."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@dataclass(frozen=True)
class RayEngine:
    """Actors of Ray Data on a cluster; each holds the face models.

    What a node that dies was making is made again by another. Results are taken as they come, so that memory holds
    the parts on their way and no more.

    Attributes:
        address: of the cluster, ``auto`` for the one that this machine belongs to; empty starts one of this machine.
        jobs: actors; as many as the cluster has CPUs if ``None``.
        make: what makes a part.
    """

    address: str = ""
    jobs: int | None = None
    make: MakePart = make_part

    def __call__(self, plan: Plan, parts: Sequence[Part]) -> Made:
        """Yield the parts as they are done.

        Raises:
            DatasetError: there is no such cluster, or it gave up.
            MissingExtraError: the extra ``ray`` is not installed.
        """
        if not parts:
            return
        ray, data = require("ray", "ray"), require("ray.data", "ray")
        with _connected(ray, self.address):
            logging.getLogger("ray").setLevel(logging.ERROR)
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            data.DataContext.get_current().enable_progress_bars = False
            cpus = int(ray.cluster_resources().get("CPU", 1))
            actors = min(self.jobs or cpus, len(parts))
            # one block a part: what is lost with a node is a part
            tasks = [{"task": ray.cloudpickle.dumps((self.make, plan, part))} for part in parts]
            made = data.from_items(tasks, override_num_blocks=len(parts)).map_batches(
                _PartMaker,
                batch_size=1,
                batch_format="numpy",
                compute=data.ActorPoolStrategy(size=actors),
                num_cpus=1,
            )
            try:
                for row in made.iter_rows():
                    yield int(row["number"]), bytes(row["content"])
            except ray.exceptions.RayError as error:
                raise DatasetError(f"Ray gave up ({first_line(error)}); run again to go on") from error


class _PartMaker:
    """An actor: its process keeps the face models from one part to the next."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        tasks = [pickle.loads(task) for task in batch["task"]]
        return {
            "number": [part.number for _, _, part in tasks],
            "content": [make(plan, part) for make, plan, part in tasks],
        }


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Connect to a cluster, or use the connection that there is and leave it as it was."""
    if ray.is_initialized():
        yield
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host and port.isdigit():  # Ray itself would ask again for a quarter of an hour
            socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
        ray.init(address=address or "local", include_dashboard=False, log_to_driver=False, logging_level="error")
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise DatasetError(
            f"--address {address}: no Ray cluster answers ({first_line(error)}); start one with `ray start --head`"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
