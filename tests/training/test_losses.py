"""Each loss on a case whose answer is known in closed form."""

import pytest
import torch
from torch import Tensor

from ganimation.training import losses
from ganimation.training.losses import Weights


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
    penalty = losses.gradient_penalty(realism, real, fake, torch.rand(4))
    assert penalty.item() == pytest.approx((slope - 1) ** 2, abs=1e-4)


def test_the_penalty_teaches_the_critic() -> None:
    weight = torch.ones(3, 4, 4, requires_grad=True)
    images = torch.randn(2, 3, 4, 4)
    penalty = losses.gradient_penalty(lambda x: (x * weight).sum(dim=(1, 2, 3))[:, None], images, images, torch.rand(2))
    penalty.backward()
    norm = weight.detach().norm()
    assert weight.grad is not None
    assert torch.allclose(weight.grad, 2 * (norm - 1) * weight.detach() / norm)


def test_the_penalty_looks_between_real_and_fake() -> None:
    seen = []

    def realism(images: Tensor) -> Tensor:
        seen.append(images.detach())
        return images.sum(dim=(1, 2, 3))[:, None]

    losses.gradient_penalty(realism, torch.ones(2, 3, 2, 2), torch.zeros(2, 3, 2, 2), torch.tensor([0.25, 1.0]))
    assert seen[0][0].unique().item() == 0.25
    assert seen[0][1].unique().item() == 1.0


@pytest.mark.parametrize(("form", "value"), [("mean", 0.25), ("sum", 1.25)])
def test_expression_is_a_mean_over_the_batch_and_a_mean_or_sum_over_aus(
    form: losses.ExpressionForm, value: float
) -> None:
    assert losses.expression(torch.full((7, 5), 0.5), torch.zeros(7, 5), form) == value


@pytest.mark.parametrize(("form", "value"), [("norm", 0.25 * 8), ("square", 0.0625), ("mean", 0.25), ("change", 0.75)])
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
    assert losses.critic_loss(critic, weights) == 111
    assert losses.critic_loss(critic | {"critic/reread": one}, weights) == 211
    del critic["critic/gradient_penalty"]
    assert losses.critic_loss(critic, weights) == 101
    names = ("adversarial", "expression", "cycle", "attention", "smoothness", "pair")
    terms = {f"generator/{name}": one for name in names} | {"mask/mean": one}
    assert losses.generator_loss(terms, weights) == pytest.approx(111.51)
    assert losses.generator_loss({"generator/cycle": one}, weights) == 7
    assert losses.generator_loss({"generator/attention": one}, weights, attention_factor=4) == 2


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


def test_hues_of_the_surroundings_less_of_them_and_grey_are_free_and_others_count() -> None:
    source = torch.zeros(1, 3, 32, 32)
    source[:, 0] = 0.3  # reddish skin
    source[:, 0, 10:12, 10:12] = 0.6  # and lips
    near, far, green = source.clone(), source.clone(), source.clone()
    near[:, 0, 13, 13] = 0.6  # lips moved
    near[:, :, 20:25, 20:25] = 0.9  # teeth
    near[:, :, 26:29, 20:25] = -1.0  # a shadow
    assert losses.tint(near, source).item() == 0
    half_lit = (source + 1) / 2 - 1
    assert losses.tint(half_lit, source).item() == 0
    lash = source.clone()
    lash[:, :, 20, 20] = source[:, :, 20, 20] - 0.6  # as far from grey as before, and darker: redder
    assert losses.tint(lash, source).item() > 0
    far[:, 0, 30, 30] = 0.6
    green[:, 1, 30, 30] = 0.9
    assert losses.tint(far, source).item() > 0
    assert losses.tint(green, source).item() > losses.tint(far, source).item()
    large = torch.zeros(1, 3, 128, 128)
    large[:, 0] = 0.3
    large[:, 0, 50, 50] = 0.9  # the red corner of an eye
    large[:, 0, 60:66, 60:70] = 0.6
    assert losses.tint(large, large).item() == 0
    lid = large.clone()
    lid[:, 0, 50, 45:50] = 0.9
    assert losses.tint(lid, large).item() > 0
    lips = large.clone()
    lips[:, 0, 66, 62:68] = 0.6
    assert losses.tint(lips, large).item() == 0
    dark = far.clone().requires_grad_()
    losses.tint(dark, source).backward()
    assert dark.grad is not None
    assert dark.grad[0, 0, 30, 30] > 0
    assert dark.grad[0, 0, 10, 10] == 0


def test_change_counts_where_nothing_was_asked() -> None:
    aus = ("AU04", "AU06", "AU12")
    asked = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.0, -0.5], [0.0, 0.3, 0.0], [0.0, 0.0, 0.0], [0.5, 0.0, 0.5]])
    still = losses.still_halves(asked, aus)
    assert still.tolist() == [[False, True], [True, False], [False, False], [True, True], [False, False]]
    source = torch.zeros(5, 3, 50, 50)
    upper, lower = source.clone(), source.clone()
    upper[:, :, :27] = 1.0
    lower[:, :, 27:] = 1.0
    for changed, share, rows in ((upper, 0.54, (1, 3)), (lower, 0.46, (0, 3))):
        assert losses.place(changed, source, still).item() == pytest.approx(share * len(rows) / 5)
        for row in range(5):
            alone = losses.place(changed[row : row + 1], source[row : row + 1], still[row : row + 1]).item()
            assert alone == pytest.approx(share if row in rows else 0)


def test_paint_on_skin_counts_that_of_eyes_and_mouth_less_and_moved_pixels_do_not() -> None:
    torch.manual_seed(0)
    moved = torch.rand(2, 3, 100, 100)
    attention = torch.full((2, 1, 100, 100), 0.25)
    line, teeth, lids = (moved.clone() for _ in range(3))
    line[:, :, 15:25, 40:50] -= 0.4
    teeth[:, :, 62:75, 32:68] = 1
    lids[:, :, 31:40, 20:42] = -1
    assert losses.paint(moved, moved, attention).item() == 0
    for picture in (teeth, lids):
        painted = 0.75 * (picture - moved).abs().mean().item()
        assert painted > 0.004
        assert losses.paint(picture, moved, attention).item() == pytest.approx(0.25 * painted, rel=1e-4)
    assert losses.paint(line, moved, attention).item() == pytest.approx((0.3 + 20 * 0.3**2) * 0.01, rel=1e-4)
    assert losses.paint(line, moved, torch.ones_like(attention)).item() == 0


def test_a_flow_may_stretch_skin_and_not_tear_it() -> None:
    pixel = 2 / 100  # of the flow's unit, half the side
    still, stretched, mouth, torn = (torch.zeros(1, 2, 100, 100) for _ in range(4))
    stretched[:, 1] = 0.6 * pixel * torch.arange(100.0)[:, None]
    mouth[:, 1, 65:75, 35:65] = 10 * pixel
    torn[:, 1, 10:20, 50:] = 3 * pixel
    for flow in (still, stretched, mouth):
        assert losses.strain(flow).item() == 0
    border = 10 + 2 * 50  # pixels at its left, its upper and its lower border
    assert losses.strain(torn).item() == pytest.approx(border * (3 - 0.7) ** 2 / 99**2, rel=0.02)
