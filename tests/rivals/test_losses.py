"""Networks of the rivals by their published sizes, and their losses in closed form."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ganimation.networks.critic import Critic, Judgement
from ganimation.rivals import RIVALS
from ganimation.rivals.base import EmotionBatch, Terms
from ganimation.rivals.cyclegan import PatchCritic, ResnetGenerator
from ganimation.rivals.icgan import ENCODERS, IcCritic, IcGenerator
from ganimation.rivals.stargan import Translator

EMOTIONS = 3


def count(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def batch(number: int = 4, size: int = 64) -> EmotionBatch:
    torch.manual_seed(0)
    one_hot = torch.eye(EMOTIONS)
    images = torch.rand(2, number, 3, size, size) * 2 - 1
    return EmotionBatch(
        images[0], one_hot[[0] * number], one_hot[[2] * number], images[1], torch.rand(number), torch.randn(number, 100)
    )


def same(fake: Tensor) -> Tensor:
    return fake


class Copy(nn.Module):
    """A generator that returns the photo."""

    def forward(self, source: Tensor, *rest: Tensor, **more: object) -> Tensor:
        return source


class Constant(nn.Module):
    """A critic that finds everything as real as everything else."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, image: Tensor, *rest: Tensor, **more: object) -> Tensor:
        return 0 * image.flatten(1).sum(dim=1) + self.value


class ConstantJudge(Constant):
    """The same for StarGAN, whose critic classifies as well: all emotions alike."""

    def forward(self, image: Tensor, *rest: Tensor, **more: object) -> Judgement:  # type: ignore[override]
        return Judgement(super().forward(image)[:, None, None], torch.zeros(len(image), EMOTIONS))


def values(terms: Terms) -> dict[str, float]:
    return {name: value.item() for name, value in terms.items()}


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_published_numbers_of_parameters() -> None:
    """StarGAN: 53.2 million at 128 pixels with five labels; CycleGAN's generator of six blocks 7.84, critic 2.76."""
    assert count(Translator(5)) + count(Critic(5, 128)) == 53_192_576
    assert count(ResnetGenerator()) == 7_837_699
    assert count(PatchCritic()) == 2_764_737


@pytest.mark.parametrize("name", list(RIVALS))
def test_shapes_ranges_and_gradients(name: str) -> None:
    rival = RIVALS[name](EMOTIONS, 64, 8, 8)
    generator, critic, faces = rival.build_generator(), rival.build_critic(), batch()
    drawn = generator(faces.source, faces.target)
    assert drawn.shape == faces.source.shape
    assert drawn.abs().max() <= 1
    for terms, network in (
        (rival.critic_loss(generator, critic, faces, same), critic),
        (rival.generator_loss(generator, critic, faces, "adversarial"), generator),
    ):
        network.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        assert all(value.isfinite() for value in terms.values())
        assert any(value.grad is not None and value.grad.abs().sum() > 0 for value in network.parameters())


def test_shapes_of_icgan() -> None:
    generator, faces = IcGenerator(EMOTIONS, 8), batch()
    assert generator.encoder_z(faces.source).shape == faces.noise.shape
    assert generator.encoder_y(faces.source).shape == faces.label.shape
    assert generator(faces.source, faces.target, faces.noise).shape == faces.source.shape
    assert IcCritic(EMOTIONS, 8)(faces.source, faces.target).shape == (4,)


@pytest.mark.parametrize("name", ["cyclegan", "diat"])
def test_networks_of_one_emotion_learn_from_it_alone(name: str) -> None:
    rival, faces = RIVALS[name](EMOTIONS, 64, 8, 8), batch()
    generator, critic = rival.build_generator(), rival.build_critic()
    torch.stack(list(rival.generator_loss(generator, critic, faces, "").values())).sum().backward()
    there = generator.get_submodule("there")
    first, second = (there.get_submodule(str(number)) for number in range(2))
    assert all(value.grad is None for value in first.parameters())
    assert all(value.grad is not None for value in second.parameters())
    assert set(rival.parts(generator)) == {1, 2}


def losses(name: str, critic: Callable[[float], nn.Module], value: float) -> tuple[dict[str, float], dict[str, float]]:
    """Return a method's losses for a generator that copies and a critic that is constant."""
    rival = RIVALS[name](EMOTIONS, 64)
    judge, faces = critic(value), batch()
    return (
        values(rival.critic_loss(Copy(), judge, faces, same)),
        values(rival.generator_loss(Copy(), judge, faces, "adversarial")),
    )


def test_stargan_in_closed_form() -> None:
    """A constant critic has no gradient, hence a penalty of 1; three emotions alike cost log 3."""
    critic, generator = losses("stargan", ConstantJudge, 0.7)
    assert critic == pytest.approx(
        {"critic/wasserstein": 0, "critic/gradient_penalty": 10, "critic/classification": math.log(3)}, abs=1e-5
    )
    assert generator == pytest.approx(
        {"generator/adversarial": -0.7, "generator/classification": math.log(3), "generator/cycle": 0}, abs=1e-5
    )


def test_cyclegan_in_closed_form() -> None:
    critic, generator = losses("cyclegan", Constant, 0.25)
    assert critic == pytest.approx(dict.fromkeys(("critic/there", "critic/back"), 0.5 * (0.75**2 + 0.25**2)))
    assert generator["generator/adversarial_there"] == pytest.approx(0.75**2)
    assert sum(value for name, value in generator.items() if "adversarial" not in name) == 0
    faces = batch()
    wrong = values(RIVALS["cyclegan"](EMOTIONS, 64).generator_loss(Black(), Constant(1), faces, ""))
    assert wrong["generator/cycle_there"] == pytest.approx(10 * float((faces.source + 1).abs().mean()), rel=1e-5)
    assert wrong["generator/identity_there"] == pytest.approx(5 * float((faces.other + 1).abs().mean()), rel=1e-5)


class Black(nn.Module):
    """A generator of black pictures."""

    def forward(self, source: Tensor, *rest: Tensor, **more: object) -> Tensor:
        return -torch.ones_like(source)


def test_diat_in_closed_form() -> None:
    critic, generator = losses("diat", Constant, 0.25)
    assert critic == pytest.approx({"critic/logistic": softplus(-0.25) + softplus(0.25)})
    assert generator == pytest.approx({"generator/adversarial": softplus(-0.25), "generator/cycle": 0})


def test_icgan_in_closed_form() -> None:
    critic, generator = losses("icgan", Constant, 0.25)
    assert critic == pytest.approx(
        {
            "critic/real": softplus(-0.25),
            "critic/fake": 0.5 * softplus(0.25),
            "critic/mismatched": 0.5 * softplus(0.25),
        }
    )
    assert generator == pytest.approx({"generator/adversarial": softplus(-0.25)})


def test_encoders_of_icgan_learn_what_made_a_face() -> None:
    rival, faces = RIVALS["icgan"](EMOTIONS, 64, 8, 8), batch()
    generator = rival.build_generator()
    terms = rival.generator_loss(generator, rival.build_critic(), faces, ENCODERS)
    assert set(terms) == {"generator/z", "generator/y"}
    torch.stack(list(terms.values())).sum().backward()
    assert all(value.grad is None for value in generator.get_submodule("decoder").parameters())
    assert all(value.grad is not None for value in generator.get_submodule("encoder_z").parameters())
