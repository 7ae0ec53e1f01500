"""The training loop: critic updates, a generator update, a line of metrics; now and then a checkpoint and a sheet.

    for step in range(start, config.steps):
        critic updates     CRITIC_TERMS      each on a batch of its own
        generator update   GENERATOR_TERMS
        averaged generator, attention control, journal, checkpoint

Fabric places, casts and distributes; everything random comes from ``(seed, step, update)``.
"""

import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from ganimation.data.dataset import FaceDataset
from ganimation.errors import MediaError, TrainingError, require
from ganimation.files import atomic
from ganimation.rivals import RIVALS
from ganimation.text import parse_json
from ganimation.training import averages, checkpoints
from ganimation.training.batches import Batch, Batches, ahead
from ganimation.training.config import Phase, TrainingConfig, emphasis_weights
from ganimation.training.context import Game
from ganimation.training.fields import difference
from ganimation.training.journal import Journal
from ganimation.training.losses import Terms, load_features
from ganimation.training.request import TrainRequest
from ganimation.training.reread import Rereader
from ganimation.training.rivals import EmotionBatches, build_rival_context, emotions_of
from ganimation.training.samples import sheet
from ganimation.training.state import Start, State, build_state
from ganimation.training.terms import check_weights
from ganimation.training.updates import update_critic, update_generator

Report = Callable[[int, dict[str, float]], None]

DEFAULT_REQUEST = TrainRequest()


def train(
    dataset: FaceDataset,
    run: Path,
    config: TrainingConfig,
    fabric: Fabric,
    request: TrainRequest = DEFAULT_REQUEST,
    *,
    start: Start | None = None,
    report: Report = lambda step, terms: None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Train or resume a run; return its folder.

    Args:
        dataset: the faces to learn from.
        run: folder of the run; made if missing, resumed from its newest checkpoint if not.
        config: resolved with :meth:`TrainingConfig.resolve`.
        fabric: launched.
        request: options of speed, memory and logging.
        start: a model to begin from, in the shape of ``config``.
        report: called after each step with the steps done and the terms.
        say: called with what a person should know: what is wrong with the masks, and when it no longer is.

    Raises:
        TrainingError: the configuration is not possible, the run was begun with another one, a loss is not finite, or
            the disk refuses.
        KeyboardInterrupt: SIGINT or SIGTERM came; the step was finished and a checkpoint written.
    """
    config.check()
    check_weights(config)
    check_batch(config, fabric, request.accumulate)
    if request.wandb:
        require("wandb", "wandb")
    method = build_method(config, dataset, fabric, request, start)
    with _claim(run, config, dataset, fabric):
        state = method.build_state()
        _resume(state, run, fabric)
        if state.step < config.steps:
            journal = Journal(run, state.step, config, dataset, say, request.wandb) if fabric.is_global_zero else None
            with closing(journal) if journal else nullcontext(), ahead(method.batches, config, state.step) as stream:
                _go_on(method, state, stream, run, request, journal, report)
    return run


def build_method(
    config: TrainingConfig, dataset: FaceDataset, fabric: Fabric, request: TrainRequest, start: Start | None = None
) -> "GANimation | RivalMethod":
    """Return GANimation or a rival, as the configuration says: its batches, networks and steps.

    Raises:
        TrainingError: the data set or an option is not for it.
    """
    if config.method in RIVALS:
        return RivalMethod(config, dataset, fabric, request)
    return GANimation(config, dataset, fabric, request, start)


class GANimation:
    """GANimation, as the loop sees a method."""

    def __init__(
        self, config: TrainingConfig, dataset: FaceDataset, fabric: Fabric, request: TrainRequest, start: Start | None
    ) -> None:
        self.config, self.fabric = config, fabric
        self.batches = Batches(dataset, config, fabric.global_rank, fabric.world_size)
        self._game = build_game(config, dataset, fabric)
        self._dataset, self._request, self._start = dataset, request, start

    def build_state(self) -> State:
        """Return the state that a run begins with."""
        aus = self._dataset.info.aus
        return build_state(self.config, aus, self.fabric, self._start, compiled=self._request.compile)

    def take_step(self, state: State, phase: Phase, step: int, stream: Iterator[Any]) -> Terms:
        """Do one step of a phase; return its terms."""
        return take_step(self._game, state, phase, step, stream, self._request.accumulate)

    def sheet(self, state: State) -> NDArray[np.uint8]:
        """Return the picture of samples."""
        return sheet(state.averages[-1], self._dataset, self.config)


class RivalMethod:
    """A rival, as the loop sees a method."""

    def __init__(self, config: TrainingConfig, dataset: FaceDataset, fabric: Fabric, request: TrainRequest) -> None:
        self.config, self.fabric = config, fabric
        self._context, self._dataset = build_rival_context(config, dataset, fabric), dataset
        self.batches = EmotionBatches(dataset, config, self._context.emotions, fabric.global_rank, fabric.world_size)
        self.build_state, self.take_step = self._context.build_state, self._context.take_step
        if request.accumulate > 1 or request.compile:
            raise TrainingError(f"--accumulate and --compile are not for method {config.method}; leave them out")

    def sheet(self, state: State) -> NDArray[np.uint8]:
        """Return the picture of samples."""
        return self._context.sheet(state.generator, self._dataset)


def _go_on(
    method: GANimation | RivalMethod,
    state: State,
    stream: Iterator[Any],
    run: Path,
    request: TrainRequest,
    journal: Journal | None,
    report: Report,
) -> None:
    """Run the remaining steps."""
    config, fabric = method.config, method.fabric
    with stopping() as asked_to_stop:
        while state.step < config.steps:
            phase, step = config.at(state.step)
            terms = method.take_step(state, phase, step, stream)
            values, stop = _agree(terms, fabric, stop=asked_to_stop())
            _check_finite(values, state.step, run)
            if config.steers_attention and "mask/mean" in values:
                state.control.update(values["mask/mean"], config)
                values["mask/factor"] = state.control.factor
            state.step += 1
            _write(method, state, phase, values, run, journal, request, stop=stop)
            report(state.step, values)
            if stop and state.step < config.steps:
                raise KeyboardInterrupt(f"stopped after step {state.step}; the same command goes on")


def _resume(state: State, run: Path, fabric: Fabric) -> None:
    """Load the newest checkpoint; all processes must find the same."""
    found = checkpoints.newest(run / "checkpoints")
    step = torch.tensor(0 if found is None else found[0], device=fabric.device)
    if fabric.world_size > 1 and len(set(torch.as_tensor(fabric.all_gather(step)).flatten().tolist())) > 1:
        raise TrainingError(f"{run}: not all processes see the same checkpoints; the run must be on a shared disk")
    if found is not None:
        state.load(*found, fabric)


def check_batch(config: TrainingConfig, fabric: Fabric, accumulate: int) -> None:
    """Check that the batches of all phases can be divided among processes and accumulation steps.

    Raises:
        TrainingError: it cannot.
    """
    share = fabric.world_size * accumulate
    for phase in config.phases:
        batch = config.batch_options(phase).batch
        if batch % share:
            raise TrainingError(
                f"a batch of {batch} cannot be shared by {fabric.world_size} processes in {accumulate} parts "
                f"each; choose a multiple of {share} with --set {f'{phase.name}.' if phase.batch else ''}"
                f"batch={max(1, batch // share) * share}"
            )


def build_game(config: TrainingConfig, dataset: FaceDataset, fabric: Fabric) -> Game:
    """Return the immutable training context of a run."""
    rereader = Rereader(dataset.info, torch.get_num_threads()) if config.reread_every else None
    features = load_features([phase.weights.cycle_form for phase in config.phases], fabric.device)
    au_weights: dict[str, Tensor] = {}
    for phase in config.phases:
        emphasis = config.batch_options(phase).emphasis
        if config.au_balance or emphasis:
            counts = torch.tensor(emphasis_weights(emphasis, dataset.info.aus))
            au_weights[phase.name] = (weigh_aus(dataset.aus, config.au_balance) * counts).to(fabric.device)
    return Game(config, fabric, dataset.info.aus, features, rereader, au_weights)


def weigh_aus(aus: NDArray[np.float32], balance: float) -> Tensor:
    """Return the weight of each AU in the expression loss: variance to the power of ``-balance``, 1 on average.

    With 1, every AU's error is a share of its variance, and AUs that move little are learned as well as those that
    move much; with 0 all count the same, as in the paper.

    Args:
        aus: (faces, AUs) of the data set.
        balance: the exponent.
    """
    weights = np.maximum(aus.astype(np.float64).var(axis=0), 1e-4) ** -balance
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))


def take_step(game: Game, state: State, phase: Phase, step: int, stream: Iterator[Batch], accumulate: int = 1) -> Terms:
    """Do one step of a phase; return its terms, those of the last critic update among them.

    Args:
        game: config, Fabric and features.
        state: to change; its ``step`` is left to the caller.
        phase: that the run is in.
        step: within the phase.
        stream: of batches, in the order of :func:`ganimation.training.batches.plan`.
        accumulate: parts in which each process takes its batch.
    """
    config = game.config
    factor = phase.rate_factor(step)
    _set_rate(state.generator_optimizer, phase.generator_rate * factor)
    _set_rate(state.critic_optimizer, phase.critic_rate * factor)
    terms: Terms = {}
    batch: Batch | None = None
    shared = None
    for update in range(phase.critic_steps):
        batch = next(stream).to(game.fabric.device, game.layout)
        last = update == phase.critic_steps - 1
        keep = last and phase.train_generator and config.shared_batch and accumulate == 1
        with torch.set_grad_enabled(keep):
            passes = [game.generate(state.generator, part, phase) for part in batch.split(accumulate)]
        shared = passes if keep else None
        number = step * phase.critic_steps + update
        due = {
            "with_penalty": config.penalty_every > 0 and number % config.penalty_every == 0,
            "reread": config.reread_every > 0 and number % config.reread_every == 0,
        }
        rng = np.random.default_rng([config.seed, state.step, update, game.fabric.global_rank, 1])
        terms |= update_critic(game, state, phase, passes, rng, **due)
    if phase.train_generator:
        if batch is None or not config.shared_batch:
            batch = next(stream).to(game.fabric.device, game.layout)
        parts = (game.generate(state.generator, part, phase) for part in batch.split(accumulate))
        terms |= update_generator(game, state, phase, shared or parts, accumulate)
    return terms


def _write(
    method: GANimation | RivalMethod,
    state: State,
    phase: Phase,
    values: dict[str, float],
    run: Path,
    journal: Journal | None,
    request: TrainRequest,
    *,
    stop: bool,
) -> None:
    """Write metrics and, where due, a sheet, a snapshot of the averages and a checkpoint."""
    config, fabric = method.config, method.fabric
    last = state.step == config.steps
    if journal is not None:
        journal.record(state.step, phase, values)
        if last or state.step % request.sheet_every == 0:
            journal.sheet(state.step, method.sheet(state))
    every = max(1, config.steps // averages.SNAPSHOTS)
    if journal is not None and config.average and (last or state.step % every == 0):
        averages.write_snapshot(run / "averages", state.updates, state.averages)
    if last or stop or state.step % request.checkpoint_every == 0:
        saved = state.to_dict(fabric)
        if journal is not None:
            journal.flush()
        if fabric.is_global_zero:
            checkpoints.save(run / "checkpoints", state.step, saved)
        fabric.barrier()  # nobody leaves while the first process writes


def _claim(run: Path, config: TrainingConfig, dataset: FaceDataset, fabric: Fabric) -> AbstractContextManager[object]:
    """Write the run's config.json in the first process, or check that it is the same, and lock the run.

    All processes raise what it raises.
    """
    wrong = ""
    lock: AbstractContextManager[object] = nullcontext()
    if fabric.is_global_zero:
        try:
            _write_config(run, config, dataset)
            lock = _lock(run)
        except TrainingError as error:
            wrong = str(error)
    wrong = fabric.broadcast(wrong)
    if wrong:
        raise TrainingError(wrong)
    return lock


def _lock(run: Path) -> AbstractContextManager[object]:
    """Lock a run; the lock is released on leaving the context, or when the process ends."""
    try:
        return FileLock(run / ".lock").acquire(timeout=0)
    except Timeout:
        raise TrainingError(f"{run}: another process is training it; wait for it, or name another folder") from None
    except OSError as error:
        raise TrainingError(f"{run}: cannot be used for a run ({error})") from error


def _write_config(run: Path, config: TrainingConfig, dataset: FaceDataset) -> None:
    content = {"training": config.to_json(), "dataset": _about(dataset, rival=config.method in RIVALS)}
    path = run / "config.json"
    try:
        if path.exists():
            old = parse_json(path.read_bytes())
            try:
                old["training"] = TrainingConfig.from_json(old["training"]).to_json()
            except TrainingError as error:
                raise TrainingError(f"{run}: cannot be used for a run ({error}); name another folder") from error
            changed = difference(*(json.loads(json.dumps(value)) for value in (old, content)))
            if changed:
                raise TrainingError(
                    f"{run}: begun with another configuration: {changed}; give the old value or another folder"
                )
            return
        (run / "samples").mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except (MediaError, OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{run}: cannot be used for a run ({error})") from error


def _about(dataset: FaceDataset, *, rival: bool) -> dict[str, Any]:
    info = dataset.info
    template = {"eye_height": info.template.eye_height, "eye_distance": info.template.eye_distance}
    about = {"aus": list(info.aus), "annotator": info.annotator, "template": template, "faces": len(dataset)}
    return about | ({"emotions": emotions_of(dataset)} if rival else {})


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _agree(terms: Terms, fabric: Fabric, *, stop: bool) -> tuple[dict[str, float], bool]:
    """Return the means of the terms over all processes, and whether any of them was asked to stop."""
    asked = torch.tensor(float(stop), device=fabric.device)
    values = torch.stack([*(value.detach().float().to(fabric.device) for value in terms.values()), asked])
    if fabric.world_size > 1:
        values = fabric.all_reduce(values, reduce_op="mean")  # type: ignore[assignment]
    *means, stops = values.tolist()
    return dict(zip(terms, means, strict=True)), stops > 0


def _check_finite(values: dict[str, float], step: int, run: Path) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"{run}: {name} is {value} at step {step + 1}; checkpoints from before are kept. Lower the rate, or "
                f"look at {name} in metrics.jsonl for where it began to grow"
            )


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Let SIGINT and SIGTERM only ask to stop, once; the second does what it did before. Yield whether it was asked."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        restore()
