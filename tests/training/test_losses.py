"""Each loss on a case whose answer is known in closed form."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganimation.networks.critic import gradient_penalty
from ganimation.training import losses, terms
from ganimation.training.config import Weights
from ganimation.training.terms import CRITIC_TERMS, GENERATOR_TERMS


def test_wasserstein_and_adversarial() -> None:
    real, fake = torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[0.0, 1.0]]])
    assert losses.wasserstein(real, fake) == -1.5
    assert losses.adversarial(fake) == -0.5


@pytest.mark.parametrize("slope", [0.0, 1.0, 3.0])
def test_the_penalty_of_a_linear_critic(slope: float) -> None:
    """D(x) = slope * <w, x> with |w| = 1 has the gradient norm ``slope`` everywhere."""
    torch.manual_seed(0)
    direction = torch.randn(3, 8, 8)
    direction /= direction.norm()

    def realism(images: Tensor) -> Tensor:
        return slope * (images * direction).sum(dim=(1, 2, 3))[:, None, None]

    real, fake = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8)
    penalty = gradient_penalty(realism, real, fake, torch.rand(4))
    assert penalty.item() == pytest.approx((slope - 1) ** 2, abs=1e-4)


def test_the_penalty_teaches_the_critic() -> None:
    weight = torch.ones(3, 4, 4, requires_grad=True)
    images = torch.randn(2, 3, 4, 4)
    penalty = gradient_penalty(lambda x: (x * weight).sum(dim=(1, 2, 3))[:, None], images, images, torch.rand(2))
    penalty.backward()
    norm = weight.detach().norm()
    assert weight.grad is not None
    assert torch.allclose(weight.grad, 2 * (norm - 1) * weight.detach() / norm)


def test_the_penalty_looks_between_real_and_fake() -> None:
    seen = []

    def realism(images: Tensor) -> Tensor:
        seen.append(images.detach())
        return images.sum(dim=(1, 2, 3))[:, None]

    gradient_penalty(realism, torch.ones(2, 3, 2, 2), torch.zeros(2, 3, 2, 2), torch.tensor([0.25, 1.0]))
    assert seen[0][0].unique().item() == 0.25
    assert seen[0][1].unique().item() == 1.0


@pytest.mark.parametrize(("form", "value"), [("mean", 0.25), ("sum", 1.25)])
def test_expression_is_a_mean_over_the_batch_and_a_mean_or_sum_over_aus(
    form: losses.ExpressionForm, value: float
) -> None:
    assert losses.expression(torch.full((7, 5), 0.5), torch.zeros(7, 5), form) == value


@pytest.mark.parametrize(("form", "value"), [("norm", 0.25 * 8), ("square", 0.0625), ("mean", 0.25)])
def test_attention_penalty(form: losses.AttentionForm, value: float) -> None:
    assert losses.attention_penalty(torch.full((3, 1, 8, 8), 0.25), form) == pytest.approx(value)


@pytest.mark.parametrize("form", ["squared", "absolute"])
def test_smoothness_of_a_checkerboard(form: losses.SmoothnessForm) -> None:
    """Every one of the 2 * 8 * 7 neighbours differs by one, whatever the batch."""
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2
    for number in (1, 3):
        assert losses.smoothness(board.float().expand(number, 1, 8, 8), form) == 112
    assert losses.smoothness(torch.full((2, 1, 8, 8), 0.3), form) == 0


def test_distance_and_pair_distance() -> None:
    image = torch.zeros(1, 3, 8, 8)
    assert losses.distance(image, image + 0.5) == 0.5
    board = ((torch.arange(8)[:, None] + torch.arange(8)) % 2).float().expand(1, 3, 8, 8) * 2 - 1
    known = torch.tensor([True])
    assert losses.pair_distance(board, image, known) == 1.0  # at quarter size a checkerboard is grey
    assert losses.pair_distance(image + 1, image, known) == 2.0
    assert losses.pair_distance(image + 1, image, ~known) == 0.0
    four = [torch.cat([x] * 4) for x in (image + 1, image)]
    assert losses.pair_distance(four[0], four[1], torch.tensor([True, False, False, True])) == 1.0


def test_perceptual_distance_sums_layers_and_teaches_the_image_alone() -> None:
    image, truth = torch.ones(2, 3, 4, 4, requires_grad=True), torch.zeros(2, 3, 4, 4, requires_grad=True)
    value = losses.perceptual_distance(lambda x: [x, 3 * x], image, truth)
    assert value == 1 + 9
    value.backward()
    assert image.grad is not None
    assert truth.grad is None


def test_totals_are_the_weighted_terms() -> None:
    weights = Weights(gradient_penalty=10, expression=100, cycle=7, attention=0.5, smoothness=0.01, pair=3)
    one = torch.tensor(1.0)
    critic = {"critic/wasserstein": one, "critic/expression": one, "critic/gradient_penalty": one}
    assert terms.total(CRITIC_TERMS, critic, weights) == 111
    assert terms.total(CRITIC_TERMS, critic | {"critic/reread": one}, weights) == 211
    del critic["critic/gradient_penalty"]
    assert terms.total(CRITIC_TERMS, critic, weights) == 101
    names = ("adversarial", "expression", "cycle", "attention", "smoothness", "pair")
    all_of_them = {f"generator/{name}": one for name in names} | {"mask/mean": one}
    assert terms.total(GENERATOR_TERMS, all_of_them, weights) == pytest.approx(111.51)
    assert terms.total(GENERATOR_TERMS, {"generator/cycle": one}, weights) == 7
    assert terms.total(GENERATOR_TERMS, {"generator/attention": one}, weights, attention_factor=4) == 2


def test_a_form_counts_and_the_other_is_logged() -> None:
    both = {"critic/wasserstein": torch.tensor(1.0), "critic/hinge": torch.tensor(10.0)}
    assert terms.total(CRITIC_TERMS, both, Weights()) == 1
    assert terms.total(CRITIC_TERMS, both, Weights(adversarial_form="hinge")) == 10


def test_the_documentation_has_the_table_of_terms() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()
    assert terms.table() in text


def test_every_weight_is_of_a_term() -> None:
    rows = (*CRITIC_TERMS, *GENERATOR_TERMS)
    numbers = {item.name for item in dataclasses.fields(Weights) if isinstance(getattr(Weights(), item.name), float)}
    assert {name for term in rows for name in term.weight} == numbers
    assert len({term.name for term in rows}) == len(rows)


def test_terms_do_not_depend_on_the_batch_size() -> None:
    torch.manual_seed(0)
    attention, image = torch.rand(2, 1, 8, 8), torch.rand(2, 3, 8, 8)
    twice = [torch.cat([x, x]) for x in (attention, image)]
    for form in ("norm", "square", "mean"):
        assert losses.attention_penalty(attention, form) == pytest.approx(losses.attention_penalty(twice[0], form))
    assert losses.smoothness(attention, "squared") == pytest.approx(losses.smoothness(twice[0], "squared"))
    assert losses.distance(image, 0 * image) == pytest.approx(losses.distance(twice[1], 0 * twice[1]))


def test_errors_of_aus_count_by_their_weights() -> None:
    predicted, aus = torch.tensor([[0.5, 0.1]]), torch.zeros(1, 2)
    assert losses.expression(predicted, aus, "mean", torch.tensor([0.4, 1.6])).item() == pytest.approx(0.058)


def test_a_hinge_asks_no_more_than_a_margin_of_what_counts() -> None:
    real, fake = torch.tensor([[2.0, 0.5], [-1.0, 0.0]]), torch.tensor([[-3.0, 0.0], [0.5, -0.5]])
    assert float(losses.hinge(real, fake)) == pytest.approx((0 + 0.5 + 2 + 1) / 4 + (0 + 1 + 1.5 + 0.5) / 4)
    first = torch.tensor([[1.0], [0.0]])
    assert float(losses.hinge(real, fake, first, 0.0)) == pytest.approx(0.5 / 4)


def test_openings_count_by_what_was_restored_of_them() -> None:
    shares = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.005, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    counts = losses.openings(shares)
    large, small, none = counts.sum(dim=1).tolist()
    assert large == pytest.approx(4 * 0.25 / 0.27)
    assert 0 < small < 0.1 * large
    assert none == 0
    assert not counts[0, 2:].any()


def test_restoration_is_the_difference_in_the_hole() -> None:
    image, truth, hole = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4), torch.zeros(2, 1, 4, 4)
    hole[0, :, :2] = 1.0
    assert float(losses.restoration(image, truth, hole)) == pytest.approx(0.25)
