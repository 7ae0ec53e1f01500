"""The presets `paper` and `official` against their objectives, written plainly from the equations and from what the
authors' code computes, at the paper's 128 pixels and batch of 25."""

import copy
import dataclasses
from collections.abc import Callable
from itertools import repeat

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from benchmarks.plain import PlainGenerator
from ganimation.action_units import DEFAULT_AUS
from ganimation.networks.critic import Critic
from ganimation.training.batches import Batch
from ganimation.training.config import TrainingConfig
from ganimation.training.context import Game
from ganimation.training.loop import take_step
from ganimation.training.presets import OFFICIAL, PAPER
from ganimation.training.state import build_state

SIZE, BATCH, AUS = 128, 25, len(DEFAULT_AUS)


def tv(mask: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    return measure(mask[:, :, 1:] - mask[:, :, :-1]).sum() + measure(mask[:, :, :, 1:] - mask[:, :, :, :-1]).sum()


class Reference:
    """One critic and one generator update, nothing shared with the code under test but the critic's layers."""

    def __init__(self, generator: PlainGenerator, critic: Critic, batch: Batch) -> None:
        self.generator, self.critic, self.batch = generator, critic, batch
        self.adam = [torch.optim.Adam(net.parameters(), 1e-4, (0.5, 0.999)) for net in (generator, critic)]
        self.terms: dict[str, Tensor] = {}

    def animate(self, image: Tensor, aus: Tensor) -> tuple[Tensor, Tensor]:
        color, mask = self.generator(image, aus)
        return (1 - mask) * color + mask * image, mask

    def step(self, number: int, loss: Tensor) -> None:
        self.adam[number].zero_grad()
        loss.backward()
        self.adam[number].step()

    def critic_update(self, expression: Callable[[Tensor, Tensor], Tensor], *, official: bool) -> None:
        real, b = self.batch.source, self.batch
        fake = self.animate(real, b.target_aus)[0].detach()
        adversarial = self.critic(fake).realism.mean() - self.critic(real).realism.mean()
        regression = expression(self.critic(real).aus, b.source_aus)

        def penalty() -> Tensor:
            share = b.mix[:, None, None, None]
            between = (share * real + (1 - share) * fake).requires_grad_()
            realism = self.critic(between).realism
            of_images = realism.sum(dim=(1, 2)) if official else realism.mean(dim=(1, 2))
            (gradient,) = torch.autograd.grad(of_images, between, torch.ones_like(of_images), create_graph=True)
            return ((gradient.reshape(BATCH, -1).square().sum(dim=1).sqrt() - 1) ** 2).mean()

        loss = adversarial + (160.0 if official else 4000.0) * regression
        self.terms |= {"critic/wasserstein": adversarial, "critic/expression": regression}
        if official:  # an Adam step of its own
            self.step(1, loss)
            self.terms["critic/gradient_penalty"] = penalty()
            self.step(1, 10.0 * self.terms["critic/gradient_penalty"])
        else:
            self.terms["critic/gradient_penalty"] = penalty()
            self.step(1, loss + 10.0 * self.terms["critic/gradient_penalty"])

    def generator_update(self, expression: Callable[[Tensor, Tensor], Tensor], *, official: bool) -> None:
        b = self.batch
        fake, mask = self.animate(b.source, b.target_aus)
        back, mask_back = self.animate(fake, b.source_aus)
        terms = {
            "adversarial": -self.critic(fake).realism.mean(),
            "expression": expression(self.critic(fake).aus, b.target_aus),
        }
        if official:
            terms["cycle"] = (back - b.source).abs().mean()
            terms["attention"] = mask.mean() + mask_back.mean()
            terms["smoothness"] = (tv(mask, torch.abs) + tv(mask_back, torch.abs)) / BATCH
            weights = (1.0, 160.0, 10.0, 0.1, 1e-5 * BATCH)
        else:
            terms["cycle"] = (back - b.source).abs().sum() / BATCH
            terms["attention"] = sum(m.reshape(BATCH, -1).square().sum(dim=1).sqrt().mean() for m in (mask, mask_back))
            terms["smoothness"] = (tv(mask, torch.square) + tv(mask_back, torch.square)) / BATCH
            weights = (1.0, 4000.0, 10.0, 0.1, 0.1 * 1e-4)
        self.terms |= {f"generator/{name}": value for name, value in terms.items()}
        self.step(0, sum(weight * value for weight, value in zip(weights, terms.values(), strict=True)))


def moments(optimizer: torch.optim.Optimizer, net: nn.Module) -> list[Tensor]:
    """Adam's first moments, which are linear in the gradients, in the order of the parameters."""
    return [optimizer.state[value]["exp_avg"] for value in net.parameters()]


@pytest.mark.parametrize("preset", [PAPER, OFFICIAL], ids=["paper", "official"])
def test_every_term_and_gradient_is_the_references(preset: TrainingConfig) -> None:
    official = preset is OFFICIAL
    phase = dataclasses.replace(preset.phases[0], steps=1, epochs=0, critic_steps=1)
    config = dataclasses.replace(preset, generator_width=4, generator_blocks=2, critic_width=4, phases=(phase,))
    assert (config.size, config.batch) == (SIZE, BATCH)
    fabric = Fabric(accelerator="cpu", precision="64-true")  # in double precision nothing hides behind rounding
    state = build_state(config, DEFAULT_AUS, fabric)
    state.averages = [average.double() for average in state.averages]
    torch.manual_seed(0)
    faces = torch.nn.functional.interpolate(
        torch.rand(BATCH, 3, 16, 16, dtype=torch.float64) * 2 - 1, size=(SIZE, SIZE), mode="bilinear"
    )
    none = torch.zeros(BATCH, dtype=torch.bool)
    shown, asked = torch.rand(2, BATCH, AUS, dtype=torch.float64)
    batch = Batch(
        faces, shown, asked, faces, none, torch.rand(BATCH, dtype=torch.float64), torch.zeros(BATCH, 7, 1, 1), none
    )  # fmt: skip
    plain, ours = PlainGenerator(AUS, 4, 2).double(), state.generator.module
    for own, value in zip(plain.parameters(), ours.parameters(), strict=True):  # type: ignore[union-attr]
        own.data.copy_(value)
    reference = Reference(plain, copy.deepcopy(state.critic.module), batch)  # type: ignore[arg-type]

    def expression(read: Tensor, asked: Tensor) -> Tensor:
        return (read - asked).square().mean() if official else (read - asked).square().sum(dim=1).mean()

    reference.critic_update(expression, official=official)
    reference.generator_update(expression, official=official)
    terms = take_step(Game(config, fabric, DEFAULT_AUS), state, phase, 0, repeat(batch))
    assert set(reference.terms) == {name for name in terms if not name.startswith("mask/")}
    for name, value in reference.terms.items():
        assert float(terms[name]) == pytest.approx(float(value.detach()), rel=1e-6), name
    for number, (net, optimizer) in enumerate(
        ((ours, state.generator_optimizer), (state.critic.module, state.critic_optimizer))
    ):
        inner = getattr(optimizer, "optimizer", optimizer)
        plainly = (reference.generator, reference.critic)[number]
        for mine, theirs in zip(moments(inner, net), moments(reference.adam[number], plainly), strict=True):  # type: ignore[arg-type]
            assert float(theirs.abs().max()) > 0
            assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


def test_the_authors_rates_fall_once_an_epoch_first_after_the_21st() -> None:
    phase = dataclasses.replace(OFFICIAL.phases[0], steps=300)
    rates = [phase.rate_factor(step) for step in range(300)]
    assert rates[:210] == [1.0] * 210
    assert rates[210:220] == pytest.approx([0.9] * 10)
    assert rates[290:] == pytest.approx([0.1] * 10)
    smooth = PAPER.resolve(1000, 300).phases[0]
    assert smooth.rate_factor(205) == pytest.approx(0.95)
