"""How fast a training step is, against a plain eager float32 implementation of the authors' schedule, in one run.

    python -m benchmarks.training [--rounds 3] [--size 64] [--equal-work]

For two sizes (128 px, width 64, batch 8; 64 px, width 32, batch 16) it measures, interleaved so that a busy machine
touches all alike:

- ``plain``: eager, float32, contiguous tensors, torch's instance norm; five critic updates, each with a generator pass
  of its own that keeps its graph, and with the gradient penalty in a second Adam step; then the generator's update with
  passes of its own.
- ours, through the product's step, on the same work: no graph where none is needed, one pass of the generator for the
  last critic update and the generator's, fused Adam and the cheaper instance norm; the same in channels-last order;
  with torch.compile; with bf16 autocast where asked for.
- apart and without torch.compile, because they change the schedule and not its cost: the penalty in every second
  update, three critic steps.

Samples a second are real photos that the critic sees, the same in every row at equal schedule.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from itertools import repeat

import torch
from lightning_fabric import Fabric
from torch import Tensor

from benchmarks.plain import PlainGenerator, peak
from ganimation.action_units import DEFAULT_AUS
from ganimation.networks.critic import Critic, gradient_penalty
from ganimation.networks.generator import blend
from ganimation.training import losses, terms
from ganimation.training.batches import Batch
from ganimation.training.config import TrainingConfig
from ganimation.training.context import Game
from ganimation.training.loop import take_step
from ganimation.training.presets import OFFICIAL
from ganimation.training.state import build_state

AUS = len(DEFAULT_AUS)
SIZES = ((128, 64, 8), (64, 32, 16))
Step = Callable[[], None]


def make_batch(size: int, count: int) -> Batch:
    """Return random photos and AUs; what they show costs nothing."""
    torch.manual_seed(0)
    images = torch.rand(count, 3, size, size) * 2 - 1
    aus = [torch.rand(count, AUS) for _ in range(2)]
    return Batch(
        images,
        aus[0],
        aus[1],
        images,
        torch.zeros(count, dtype=torch.bool),
        torch.rand(count),
        torch.zeros(count, 7, 1, 1),
        torch.zeros(count, dtype=torch.bool),
    )


def plain(size: int, width: int, batch: Batch) -> Step:
    """Return a step of the authors' schedule, written as one writes it first."""
    generator, critic = PlainGenerator(AUS, width), Critic(AUS, size, width)
    optimizers = [torch.optim.Adam(net.parameters(), 1e-4, (0.5, 0.999)) for net in (generator, critic)]
    weights = OFFICIAL.phases[0].weights

    def realism(images: Tensor) -> Tensor:
        values: Tensor = critic(images).realism
        return values

    def critic_update() -> None:
        fake = blend(batch.source, *generator(batch.source, batch.target_aus))
        real, aus, _, _ = critic(batch.source)
        values = {
            "critic/wasserstein": losses.wasserstein(real, critic(fake.detach())[0]),
            "critic/expression": losses.expression(aus, batch.source_aus, "mean"),
        }
        descend(optimizers[1], terms.total(terms.CRITIC_TERMS, values, weights))
        penalty = gradient_penalty(realism, batch.source, fake.detach(), batch.mix)
        descend(optimizers[1], weights.gradient_penalty * penalty)

    def generator_update() -> None:
        color, attention = generator(batch.source, batch.target_aus)
        fake = blend(batch.source, color, attention)
        color_back, attention_back = generator(fake, batch.source_aus)
        realism_fake, aus, _, _ = critic(fake)
        values = {
            "generator/adversarial": losses.adversarial(realism_fake),
            "generator/expression": losses.expression(aus, batch.target_aus, "mean"),
            "generator/cycle": losses.distance(blend(fake, color_back, attention_back), batch.source),
        }
        both = [attention, attention_back]
        values["generator/attention"] = torch.stack([losses.attention_penalty(mask, "mean") for mask in both]).sum()
        values["generator/smoothness"] = torch.stack([losses.smoothness(mask, "absolute") for mask in both]).sum()
        descend(optimizers[0], terms.total(terms.GENERATOR_TERMS, values, weights))

    def step() -> None:
        for _ in range(5):
            critic_update()
        generator_update()

    return step


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take a step down the loss."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def ours(config: TrainingConfig, batch: Batch, precision: str, *, compiled: bool, last: bool) -> Step:
    """Return a step of the product; ``last`` forces everything into channels-last order."""
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    state = build_state(config, DEFAULT_AUS, fabric, compiled=compiled)
    if last:
        for net in (state.generator, state.critic):
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    game = Game(config, fabric, DEFAULT_AUS)
    number = 0

    class Fixed(Batch):
        def to(self, device: torch.device, ours: torch.memory_format) -> Batch:
            return batch.to(device, torch.channels_last if last else ours)

    fixed = Fixed(**{item.name: getattr(batch, item.name) for item in dataclasses.fields(Batch)})

    def step() -> None:
        nonlocal number
        take_step(game, state, config.phases[0], number, repeat(fixed))
        number += 1

    return step


def variants(size: int, width: int, count: int, *, bf16: bool) -> dict[str, tuple[Step, int]]:
    """Return what is timed: name, step, and critic updates a step."""
    batch = make_batch(size, count)
    phase = dataclasses.replace(OFFICIAL.phases[0], steps=1_000_000, epochs=0)
    config = dataclasses.replace(OFFICIAL, size=size, generator_width=width, critic_width=width, phases=(phase,))
    together = dataclasses.replace(config, penalty_apart=False)
    lazy = dataclasses.replace(together, penalty_every=2)
    fewer = dataclasses.replace(lazy, phases=(dataclasses.replace(phase, critic_steps=3),))

    def make(which: TrainingConfig, precision: str = "32-true", *, compiled: bool = False, last: bool = False) -> Step:
        return ours(which, batch, precision, compiled=compiled, last=last)

    found = {
        "plain": (plain(size, width, batch), 5),
        "ours: no idle graphs, shared pass, norm, fused Adam": (make(config), 5),
        "ours, channels-last": (make(config, last=True), 5),
        "ours, torch.compile": (make(config, compiled=True), 5),
    }
    if bf16:
        found["ours, bf16"] = (make(config, "bf16-mixed"), 5)
        found["ours, bf16, channels-last"] = (make(config, "bf16-mixed", last=True), 5)
    best = "bf16-mixed" if bf16 else "32-true"
    return found | {
        "schedule: penalty in the same step": (make(together, best), 5),
        "schedule: ... every second update": (make(lazy, best), 5),
        "schedule: ... and three critic steps": (make(fewer, best), 3),
    }


def main() -> None:
    """Print a table a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="median over so many steps of each (default 3)")
    parser.add_argument("--size", type=int, choices=(64, 128), help="only this size (default: both)")
    parser.add_argument("--equal-work", action="store_true", help="leave out the other schedules")
    parser.add_argument("--bf16", action="store_true", help="also in bf16; slow without instructions for it")
    options = parser.parse_args()
    flops = peak()
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, float32 matrix products {flops:.0f} GFLOP/s\n"
    )
    for size, width, count in (entry for entry in SIZES if options.size in (None, entry[0])):
        steps = variants(size, width, count, bf16=options.bf16)
        if options.equal_work:
            steps = {name: entry for name, entry in steps.items() if not name.startswith("schedule")}
        for step, _ in steps.values():
            step()
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(options.rounds):
            for name, (step, _) in steps.items():
                began = time.perf_counter()
                step()
                seconds[name].append(time.perf_counter() - began)
        print(f"{size} px, width {width}, batch {count}\n")
        print("| | s a generator step | critic photos/s | ratio to plain: photos/s | generator steps/s |")
        print("|---|--:|--:|--:|--:|")
        base = statistics.median(seconds["plain"])
        for name, (_, updates) in steps.items():
            value = statistics.median(seconds[name])
            rate = count * updates / value
            print(f"| {name} | {value:.2f} | {rate:.1f} | {rate / (count * 5 / base):.2f} | {base / value:.2f} |")
        print()


if __name__ == "__main__":
    main()
