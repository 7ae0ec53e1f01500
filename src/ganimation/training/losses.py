"""Every loss of the paper as a function; each says which equation it is.

Terms are returned unweighted under the names they are logged by; the weights are the configuration's. All are means
over the batch and do not depend on its size.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ganimation.action_units import half_of
from ganimation.faces.crop import WAIST
from ganimation.networks.efficientnet import EfficientNetFeatures

AttentionForm = Literal["norm", "square", "mean", "change"]
SmoothnessForm = Literal["squared", "absolute"]
ExpressionForm = Literal["mean", "sum"]
CycleForm = Literal["absolute", "perceptual"]
Terms = dict[str, Tensor]


def wasserstein(realism_real: Tensor, realism_fake: Tensor) -> Tensor:
    """Return E[D_I(fake)] - E[D_I(real)], what the critic makes small (L_I without its penalty)."""
    return realism_fake.mean() - realism_real.mean()


def gradient_penalty(realism: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Return E[(||grad D_I(x)||_2 - 1)^2] at points between real and fake images (L_I, last term).

    Args:
        realism: D_I, from images (N, 3, H, W) to patch realism (N, h, w); its mean over patches is D_I of an image.
        real: (N, 3, H, W).
        fake: (N, 3, H, W).
        mix: (N,) in [0, 1], the share of ``real``.
    """
    share = mix[:, None, None, None]
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(realism(between).flatten(1).mean(dim=1).sum(), between, create_graph=True)
    norms: Tensor = gradient.flatten(1).norm(dim=1)
    return (norms - 1).square().mean()


def adversarial(realism_fake: Tensor) -> Tensor:
    """Return -E[D_I(fake)], what the generator makes small (L_I)."""
    return -realism_fake.mean()


def expression(predicted: Tensor, aus: Tensor, form: ExpressionForm, au_weights: Tensor | None = None) -> Tensor:
    """Return the squared error of AU intensities, averaged over the batch (Eq. 3, either of its terms).

    Args:
        predicted: (N, AUs).
        aus: (N, AUs) in [0, 1].
        form: ``sum`` over AUs as printed, a squared l2 norm; ``mean`` over them, which does not grow with their number.
        au_weights: (AUs,), what each AU's error counts; ``None`` for 1, as in the paper.
    """
    error = (predicted - aus).square()
    if au_weights is not None:
        error = error * au_weights
    return error.sum(dim=1).mean() if form == "sum" else error.mean()


def attention_penalty(attention: Tensor, form: AttentionForm) -> Tensor:
    """Return what keeps A from saturating at 1 (Eq. 2, last term), or with ``change`` from falling to 0.

    Args:
        attention: (N, 1, H, W) in [0, 1].
        form: ``norm``, E[||A||_2] as printed; ``square``, E[mean(A^2)], its like that does not grow with the image;
            ``mean``, E[mean(A)], as the authors' code has it; ``change``, E[mean(1 - A)], for a generator that moves
            the source's pixels: its C is right everywhere, and what asks for restraint is the photo's own sharpness.
            Beyond the paper.
    """
    flat = attention.flatten(1)
    if form == "norm":
        norms: Tensor = flat.norm(dim=1)
        return norms.mean()
    if form == "change":
        return (1 - flat).mean()
    return flat.square().mean() if form == "square" else flat.mean()


def smoothness(attention: Tensor, form: SmoothnessForm) -> Tensor:
    """Return the total variation of A, summed over pixels, averaged over the batch (Eq. 2, first term).

    Args:
        attention: (N, 1, H, W) in [0, 1].
        form: ``squared`` differences as in the paper, or ``absolute`` ones as in the authors' code.
    """
    down, right = attention.diff(dim=2), attention.diff(dim=3)
    measure = torch.square if form == "squared" else torch.abs
    return (measure(down).sum() + measure(right).sum()) / len(attention)


def distance(image: Tensor, truth: Tensor) -> Tensor:
    """Return the mean absolute difference, of the cycled image to the source (Eq. 4) or a fake to its true picture."""
    return (image - truth).abs().mean()


def perceptual_distance(features: Callable[[Tensor], list[Tensor]], image: Tensor, truth: Tensor) -> Tensor:
    """Return the mean squared difference of a fixed network's features, summed over its layers (Johnson et al. 2016).

    The paper tried it in place of the l1 norm of Eq. 4 and saw no gain (Sec. 4.2).

    Args:
        features: from images (N, 3, H, W) to feature maps, each (N, channels, h, w).
        image: (N, 3, H, W).
        truth: (N, 3, H, W).
    """
    with torch.no_grad():
        wanted = features(truth.detach())
    return torch.stack([(x - y).square().mean() for x, y in zip(features(image), wanted, strict=True)]).sum()


def load_features(forms: Iterable[CycleForm], device: torch.device) -> Callable[[Tensor], list[Tensor]] | None:
    """Return the features of :func:`perceptual_distance` if one of the forms needs them.

    The paper does not say which network it tried; these are EfficientNet-lite0's maps at a half, a quarter, an eighth
    and a sixteenth of the image's side.

    Raises:
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    if "perceptual" not in forms:
        return None
    return EfficientNetFeatures((0, 2, 4, 10)).to(device)


def pair_distance(image: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return the distance to the true picture at full and at quarter size, which also asks for the right large shapes.

    Args:
        image: (N, 3, H, W).
        truth: (N, 3, H, W).
        known: (N,) bool; where it is false there is no true picture, and that row counts as a distance of 0.
    """
    share = known[:, None, None, None].to(image.dtype)
    small = [torch.nn.functional.avg_pool2d(x, 4) for x in (image, truth)]
    return distance(share * image, share * truth) + distance(share * small[0], share * small[1])


#: Hues this close are the same, as shares of the brightness.
SAME_HUE = 0.01
#: Added to the brightness, of [0, 1], so that black has no hue.
BLACK = 0.2


def tint(image: Tensor, source: Tensor) -> Tensor:
    """Return how far colours are more colourful than the photo's around them, as a mean over pixels.

    Muscles bring no new hues: what is drawn may take the hue that the photo has there or anywhere within a sixteenth of
    its side, or less of it, as teeth and shadows do; what goes beyond, a red fold between the brows say, counts. A hue
    is the difference to grey as a share of the brightness: a dark line of the skin's own red is redder than skin. Near
    by it is a mean over a few pixels: the red corner of an eye is no leave for red lids.

    Args:
        image: (N, 3, H, W) in [-1, 1].
        source: (N, 3, H, W), the photo.
    """
    hue, own = _hue(image), _hue(source.detach())
    both = torch.cat([own, -own], dim=1)
    spot = 2 * (image.shape[-1] // 64) + 1
    broad = torch.nn.functional.avg_pool2d(both, spot, stride=1, padding=spot // 2, count_include_pad=False)
    highest, lowest = torch.maximum(both, _highest_near(broad)).clamp_min(0).chunk(2, dim=1)
    return ((hue - highest - SAME_HUE).clamp_min(0) + (-hue - lowest - SAME_HUE).clamp_min(0)).mean()


def _hue(image: Tensor) -> Tensor:
    """Return (N, 3, H, W), each channel's difference to grey as a share of the brightness."""
    light = (image + 1) / 2
    grey = light.mean(dim=1, keepdim=True)
    return (light - grey) / (grey + BLACK)


def _highest_near(maps: Tensor) -> Tensor:
    """Return for each pixel the highest value within a sixteenth of the image's side."""
    reach = max(1, maps.shape[-1] // 16)
    for window in ((2 * reach + 1, 1), (1, 2 * reach + 1)):
        maps = torch.nn.functional.max_pool2d(maps, window, stride=1, padding=(window[0] // 2, window[1] // 2))
    return maps


#: Where there are eyes, and an open mouth, in the default template: left, top, right and bottom as shares of the side.
#: Closed lids and teeth are nowhere in a photo to be moved.
UNSEEN = ((0.18, 0.29, 0.44, 0.42), (0.56, 0.29, 0.82, 0.42), (0.3, 0.6, 0.7, 1.0))
#: How much more strong paint counts than faint paint: a difference of 0.05 in [-1, 1] counts twice its size.
STRONG = 20.0
#: What paint counts in eyes and mouth; its square is free there, for teeth and lids are strong.
INSIDE = 0.25
#: Skin may be stretched or sheared by so much, as a share of its length, before :func:`strain` counts it.
ELASTIC = 0.7


def paint(color: Tensor, moved: Tensor, attention: Tensor) -> Tensor:
    """Return how much of the result is painted and not moved from elsewhere in the photo, as a mean over pixels.

    Muscles move skin. Where a flow can do what is asked, nothing needs drawing, and what a critic likes to see drawn
    (dark lines for furrows) has to be worth it. In eyes and mouth it counts less, but free it leaves spots on lips.

    Args:
        color: C (N, 3, H, W) in [-1, 1].
        moved: the photo moved by the flow (N, 3, H, W), aligned to the crop template.
        attention: A (N, 1, H, W) in [0, 1].
    """
    painted = (1 - attention) * (color - moved).abs()
    skin = _skin(painted)
    return (painted * torch.where(skin > 0, 1.0, INSIDE) + STRONG * painted.square() * skin).mean()


def strain(flow: Tensor) -> Tensor:
    """Return how far the flow tears skin: the squared strain beyond :data:`ELASTIC`, as a mean over pixels.

    A flow that may change from pixel to pixel draws as well: lines of brows pulled out into the forehead. Eyes and
    mouth, which open and close, are left out.

    Args:
        flow: (N, 2, H, W), x and y from each pixel to where it comes from, as shares of half the width and height.
    """
    height, width = flow.shape[2:]
    pixels = flow * flow.new_tensor([width / 2, height / 2])[:, None, None]
    down, right = pixels.diff(dim=2)[..., 1:], pixels.diff(dim=3)[:, :, 1:]
    size = (down.square() + right.square()).sum(dim=1, keepdim=True).clamp_min(1e-12).sqrt()
    return ((size - ELASTIC).clamp_min(0).square() * _skin(pixels)[1:, 1:]).mean()


def _skin(maps: Tensor) -> Tensor:
    """Return (H, W), 0 in :data:`UNSEEN` and 1 elsewhere."""
    height, width = maps.shape[2:]
    skin = torch.ones(height, width, device=maps.device, dtype=maps.dtype)
    for left, top, right, bottom in UNSEEN:
        skin[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = 0
    return skin


def place(image: Tensor, source: Tensor, still: Tensor) -> Tensor:
    """Return the mean absolute change of the halves of the face that were to stay as they are.

    Args:
        image: (N, 3, H, W) in [-1, 1].
        source: (N, 3, H, W), the photo, aligned to the crop template.
        still: (N, 2) bool, whether nothing was asked that shows in the upper and in the lower face
            (:func:`still_halves`); the others count 0.
    """
    change = (image - source).abs()
    waist = round(WAIST * image.shape[2])
    rows = torch.cat([still[:, :1].expand(-1, waist), still[:, 1:].expand(-1, image.shape[2] - waist)], dim=1)
    return (change * rows[:, None, :, None].to(change.dtype)).mean()


def still_halves(asked: Tensor, aus: Sequence[str]) -> Tensor:
    """Return whether no AU that shows in the upper, and in the lower half of the face is asked to change, (N, 2) bool.

    Args:
        asked: (N, AUs), target less source.
        aus: codes; those of nose and cheeks show in both halves.
    """
    halves = [half_of(code) for code in aus]
    shows = torch.tensor([[half != 1, half != 0] for half in halves], device=asked.device)
    return ~((asked != 0)[:, :, None] & shows).any(dim=1)


@dataclass(frozen=True)
class Weights:
    """The weights of Eq. 5, and which reading of Eq. 2 they belong to.

    Attributes:
        gradient_penalty: lambda_gp.
        expression: lambda_y.
        cycle: lambda_idt.
        attention: lambda_A.
        smoothness: lambda_A times lambda_TV, since Eq. 5 multiplies both.
        pair: of the distance to the true picture, a mean over the batch in which rows without one count 0; not in the
            paper.
        color: of the same distance of C alone, as if A were 0, so that C is a face and not paint that only looks right
            under a thin mask; not in the paper.
        tint: of hues that the photo has nowhere near (:func:`tint`); not in the paper.
        paint: of what is painted where skin could be moved (:func:`paint`), for ``color_head=warp``; not in the paper.
        strain: of skin that the flow tears (:func:`strain`), for ``color_head=warp``; not in the paper.
        place: of change in the half of the face where nothing was asked (:func:`place`); not in the paper.
        mirror: of the distance, as of ``pair``, to what the mirrored photo becomes under the same target, mirrored
            back; what AUs ask is the same of both. Not in the paper.
        expression_form: see :func:`expression`.
        attention_form: see :func:`attention_penalty`.
        smoothness_form: see :func:`smoothness`.
        cycle_form: ``absolute`` differences of pixels (:func:`distance`), or :func:`perceptual_distance`.
    """

    gradient_penalty: float = 10.0
    expression: float = 100.0
    cycle: float = 10.0
    attention: float = 0.1
    smoothness: float = 1e-4
    pair: float = 0.0
    color: float = 0.0
    tint: float = 0.0
    paint: float = 0.0
    strain: float = 0.0
    place: float = 0.0
    mirror: float = 0.0
    expression_form: ExpressionForm = "mean"
    attention_form: AttentionForm = "square"
    smoothness_form: SmoothnessForm = "squared"
    cycle_form: CycleForm = "absolute"


def critic_loss(terms: Terms, weights: Weights) -> Tensor:
    """Return the critic's share of Eq. 5 from its named terms."""
    total = terms["critic/wasserstein"] + weights.expression * terms["critic/expression"]
    if "critic/reread" in terms:
        total = total + weights.expression * terms["critic/reread"]
    if "critic/gradient_penalty" in terms:
        total = total + weights.gradient_penalty * terms["critic/gradient_penalty"]
    return total


def generator_loss(terms: Terms, weights: Weights, attention_factor: float = 1.0) -> Tensor:
    """Return the generator's share of Eq. 5 from its named terms; one that is absent counts nothing.

    Args:
        terms: unweighted.
        weights: of the terms.
        attention_factor: what :class:`ganimation.training.monitor.AttentionControl` multiplies lambda_A by.
    """
    by_term = {
        "generator/adversarial": 1.0,
        "generator/expression": weights.expression,
        "generator/cycle": weights.cycle,
        "generator/attention": weights.attention * attention_factor,
        "generator/smoothness": weights.smoothness,
        "generator/pair": weights.pair,
        "generator/color": weights.color,
        "generator/tint": weights.tint,
        "generator/paint": weights.paint,
        "generator/strain": weights.strain,
        "generator/place": weights.place,
        "generator/mirror": weights.mirror,
    }
    return torch.stack([weight * terms[name] for name, weight in by_term.items() if name in terms]).sum()
