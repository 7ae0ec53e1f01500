"""The training loop: critic updates, a generator update, a line of metrics; now and then a checkpoint and a sheet.

    for step in range(start, config.steps):
        critic updates     critic_loss(real, fake)         each on a batch of its own
        generator update   generator_loss(source, target)
        averaged generator, metrics.jsonl, samples/, checkpoints/

Fabric places, casts and distributes; everything random comes from ``(seed, step, update)``.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ganimation.data.dataset import FaceDataset
from ganimation.errors import TrainingError
from ganimation.networks.critic import Critic
from ganimation.networks.generator import Generator, blend
from ganimation.training import checkpoints, losses
from ganimation.training.batches import Batch, Batches
from ganimation.training.config import Phase, TrainingConfig, difference
from ganimation.training.losses import Terms
from ganimation.training.samples import write_sheet

GENERATOR_UPDATE = 1000  # the update number of a generator's batch, far from any critic update's


@dataclass(frozen=True)
class Cadence:
    """How often, in steps, a run writes what it writes."""

    checkpoint: int = 200
    sheet: int = 500


@dataclass
class State:
    """What changes while training."""

    generator: nn.Module
    critic: nn.Module
    average: Generator
    generator_optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    _clock: float = field(default_factory=time.monotonic)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as tensors and numbers."""
        now = time.monotonic()
        self.seconds, self._clock = self.seconds + now - self._clock, now
        modules = ("generator", "critic", "average", "generator_optimizer", "critic_optimizer")
        return {name: getattr(self, name).state_dict() for name in modules} | {"seconds": self.seconds}

    def load(self, step: int, saved: dict[str, Any]) -> None:
        """Take the state over from what :meth:`to_dict` gave at ``step``."""
        for name in ("generator", "critic", "average", "generator_optimizer", "critic_optimizer"):
            getattr(self, name).load_state_dict(saved[name])
        self.step, self.seconds = step, float(saved["seconds"])


def build_networks(config: TrainingConfig, num_aus: int) -> tuple[Generator, Critic]:
    """Return freshly initialised networks, the same for the same seed; weights N(0, 0.02) as in the authors' code."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        generator = Generator(num_aus, config.generator_width, config.generator_blocks, config.upsample)
        critic = Critic(num_aus, config.size, config.critic_width, config.critic_layers, config.critic_cap)
        for module in (*generator.modules(), *critic.modules()):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return generator, critic


def train(
    dataset: FaceDataset,
    run: Path,
    config: TrainingConfig,
    fabric: Fabric,
    *,
    cadence: Cadence = Cadence(),
    report: Callable[[int, dict[str, float]], None] = lambda step, terms: None,
) -> Path:
    """Train, or go on with, a run; return its folder.

    Args:
        dataset: the faces to learn from.
        run: folder of the run; made if missing, resumed from its newest checkpoint if not.
        config: resolved with :meth:`TrainingConfig.resolve`.
        fabric: launched.
        cadence: how often things are written.
        report: called after each step with the steps done and the terms.

    Raises:
        TrainingError: the run was begun with another configuration, a loss is not finite, or the disk refuses.
    """
    if config.batch % fabric.world_size:
        raise TrainingError(
            f"a batch of {config.batch} cannot be shared by {fabric.world_size} processes; choose a multiple"
        )
    batches = Batches(dataset, config, fabric.global_rank, fabric.world_size)
    if fabric.is_global_zero:
        _claim(run, config, dataset)
    fabric.barrier()
    state = _build(config, dataset, fabric)
    found = checkpoints.newest(run / "checkpoints")
    if found is not None:
        state.load(*found)
    if fabric.is_global_zero:
        _cut_metrics(run / "metrics.jsonl", state.step)
    while state.step < config.steps:
        phase, step = config.at(state.step)
        terms = _step(state, phase, step, config, batches, fabric)
        values = _mean_over_processes(terms, fabric)
        _check_finite(values, state.step, run)
        state.step += 1
        if fabric.is_global_zero:
            _record(state, {"step": state.step, "phase": phase.name, **values}, run, config, dataset, cadence)
        report(state.step, values)
    return run


def _record(
    state: State, line: dict[str, Any], run: Path, config: TrainingConfig, dataset: FaceDataset, cadence: Cadence
) -> None:
    """Write the metrics of a step, and what else is due."""
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
    last = state.step == config.steps
    if last or state.step % cadence.checkpoint == 0:
        checkpoints.save(run / "checkpoints", state.step, state.to_dict())
    if last or state.step % cadence.sheet == 0:
        write_sheet(state.average, dataset, config, run / "samples" / f"step-{state.step:08d}.png")


def _claim(run: Path, config: TrainingConfig, dataset: FaceDataset) -> None:
    """Write the run's config.json, or check that it is the same."""
    content = {"training": config.to_json(), "dataset": _about(dataset)}
    path = run / "config.json"
    try:
        if path.exists():
            old = json.loads(path.read_text(encoding="utf-8"))
            changed = difference(old, json.loads(json.dumps(content)))
            if changed:
                raise TrainingError(
                    f"{run}: begun with another configuration: {changed}; give the old value or another folder"
                )
            return
        (run / "samples").mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".partial")
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{run}: cannot be used for a run ({error})") from error


def _about(dataset: FaceDataset) -> dict[str, Any]:
    info = dataset.info
    template = {"eye_height": info.template.eye_height, "eye_distance": info.template.eye_distance}
    return {"aus": list(info.aus), "annotator": info.annotator, "template": template, "faces": len(dataset)}


def _build(config: TrainingConfig, dataset: FaceDataset, fabric: Fabric) -> State:
    generator, critic = build_networks(config, len(dataset.info.aus))
    average, _ = build_networks(config, len(dataset.info.aus))
    average.to(fabric.device).requires_grad_(False)
    optimizers = [torch.optim.Adam(net.parameters(), lr=1.0, betas=config.betas) for net in (generator, critic)]
    nets = [net.to(memory_format=torch.channels_last) for net in (generator, critic)]  # type: ignore[call-overload]
    (generator_, generator_optimizer), (critic_, critic_optimizer) = (
        fabric.setup(net, optimizer) for net, optimizer in zip(nets, optimizers, strict=True)
    )
    return State(generator_, critic_, average, generator_optimizer, critic_optimizer)


def _step(state: State, phase: Phase, step: int, config: TrainingConfig, batches: Batches, fabric: Fabric) -> Terms:
    """Do one step of a phase; return its terms, those of the last critic update among them."""
    factor = phase.rate_factor(step)
    _set_rate(state.generator_optimizer, phase.generator_rate * factor)
    _set_rate(state.critic_optimizer, phase.critic_rate * factor)
    terms: Terms = {}
    for update in range(phase.critic_steps):
        batch = batches.draw(state.step, update, phase).to(fabric.device)
        number = step * phase.critic_steps + update
        terms |= _update_critic(state, batch, phase, config, fabric, with_penalty=number % config.penalty_every == 0)
    if phase.train_generator:
        batch = batches.draw(state.step, GENERATOR_UPDATE, phase).to(fabric.device)
        terms |= _update_generator(state, batch, phase, config, fabric)
        _average(state, config.ema)
    return {name: value.detach() for name, value in terms.items()}


def condition(config: TrainingConfig, source_aus: Tensor, target_aus: Tensor) -> Tensor:
    """Return what the generator is told: the target, or its difference to the source."""
    return target_aus - source_aus if config.condition == "relative" else target_aus


def _update_critic(
    state: State, batch: Batch, phase: Phase, config: TrainingConfig, fabric: Fabric, *, with_penalty: bool
) -> Terms:
    with torch.no_grad():
        told = condition(config, batch.source_aus, batch.target_aus)
        fake = blend(batch.source, *state.generator(batch.source, told))
    realism, aus = state.critic(torch.cat([batch.source, fake]))
    count = len(batch.source)
    terms = {
        "critic/wasserstein": losses.wasserstein(realism[:count], realism[count:]),
        "critic/expression": losses.expression(aus[:count], batch.source_aus),
    }
    if with_penalty and config.penalty_apart:
        _descend(fabric, state.critic_optimizer, losses.critic_loss(terms, phase.weights))
    if with_penalty:
        with fabric.autocast():
            penalty = losses.gradient_penalty(_realism(state.critic), batch.source, fake, batch.mix)
        terms["critic/gradient_penalty"] = penalty
    if with_penalty and config.penalty_apart:
        _descend(fabric, state.critic_optimizer, phase.weights.gradient_penalty * penalty, alone=state.critic)
    else:
        _descend(fabric, state.critic_optimizer, losses.critic_loss(terms, phase.weights))
    return terms


def _realism(critic: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return D_I of the bare critic; Fabric's wrapper allows no torch.autograd.grad through it."""
    bare: nn.Module = critic.module  # type: ignore[assignment]

    def realism(images: Tensor) -> Tensor:
        values: Tensor = bare(images)[0]
        return values.float()

    return realism


def _update_generator(state: State, batch: Batch, phase: Phase, config: TrainingConfig, fabric: Fabric) -> Terms:
    weights = phase.weights
    color, attention = state.generator(batch.source, condition(config, batch.source_aus, batch.target_aus))
    fake = blend(batch.source, color, attention)
    terms = {
        "generator/attention": losses.attention_penalty(attention, weights.attention_form),
        "generator/smoothness": losses.smoothness(attention, weights.smoothness_form),
    }
    if phase.critic_steps:
        back = condition(config, batch.target_aus, batch.source_aus)
        color_back, attention_back = state.generator(fake, back)
        cycled = blend(fake, color_back, attention_back)
        state.critic.requires_grad_(False)
        realism, aus = state.critic(fake)
        state.critic.requires_grad_(True)
        terms["generator/adversarial"] = losses.adversarial(realism)
        terms["generator/expression"] = losses.expression(aus, batch.target_aus)
        terms["generator/cycle"] = losses.distance(cycled, batch.source)
        terms["generator/attention"] += losses.attention_penalty(attention_back, weights.attention_form)
        terms["generator/smoothness"] += losses.smoothness(attention_back, weights.smoothness_form)
    if weights.pair:
        terms["generator/pair"] = losses.pair_distance(fake, batch.truth, batch.known)
    _descend(fabric, state.generator_optimizer, losses.generator_loss(terms, weights))
    terms["mask/mean"] = attention.mean()
    terms["mask/spread"] = attention.flatten(1).std(dim=1).mean()
    return terms


def _descend(fabric: Fabric, optimizer: torch.optim.Optimizer, loss: Tensor, alone: nn.Module | None = None) -> None:
    """Take a step down ``loss``; ``alone`` is the network whose gradients Fabric's wrapper did not see and share."""
    optimizer.zero_grad()
    fabric.backward(loss)
    if alone is not None and fabric.world_size > 1:
        for value in alone.parameters():
            if value.grad is not None:
                value.grad = fabric.all_reduce(value.grad, reduce_op="mean")  # type: ignore[assignment]
    optimizer.step()


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def _average(state: State, decay: float) -> None:
    """Move the averaged generator towards the generator; early in a run it follows faster than ``decay`` says."""
    decay = min(decay, (1 + state.step) / (10 + state.step))
    for averaged, value in zip(state.average.parameters(), state.generator.parameters(), strict=True):
        averaged.lerp_(value, 1.0 - decay)


def _mean_over_processes(terms: Terms, fabric: Fabric) -> dict[str, float]:
    values = torch.stack([value.float() for value in terms.values()])
    if fabric.world_size > 1:
        values = fabric.all_reduce(values, reduce_op="mean")  # type: ignore[assignment]
    return dict(zip(terms, values.tolist(), strict=True))


def _check_finite(values: dict[str, float], step: int, run: Path) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"{run}: {name} is {value} at step {step}; the last checkpoint is kept. Lower the rate, or look "
                f"at {name} in metrics.jsonl for where it began to grow"
            )


def _cut_metrics(path: Path, step: int) -> None:
    """Drop lines that a killed run wrote after the checkpoint it resumes from."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = []
    for line in lines:
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except ValueError:  # the kill came in the middle of a line
            continue
    temporary = path.with_suffix(".partial")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)
