"""Every loss as a function; those of the paper say which equation they are.

Terms are returned unweighted under the names they are logged by; the weights are the configuration's. All are means
over the batch and do not depend on its size.
"""

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor

from ganimation.networks.efficientnet import EfficientNetFeatures

AttentionForm = Literal["norm", "square", "mean"]
SmoothnessForm = Literal["squared", "absolute"]
ExpressionForm = Literal["mean", "sum"]
AdversarialForm = Literal["wasserstein", "hinge"]
CycleForm = Literal["absolute", "norm", "perceptual"]
Terms = dict[str, Tensor]


def wasserstein(realism_real: Tensor, realism_fake: Tensor) -> Tensor:
    """Return E[D_I(fake)] - E[D_I(real)], which the critic minimises (L_I without the gradient penalty)."""
    return realism_fake.mean() - realism_real.mean()


def hinge(
    realism_real: Tensor,
    realism_fake: Tensor,
    counts_real: Tensor | float = 1.0,
    counts_fake: Tensor | float = 1.0,
) -> Tensor:
    """Return E[max(0, 1 - D_I(real))] + E[max(0, 1 + D_I(fake))], over patches (Lim & Ye 2017); not in the paper.

    Args:
        realism_real: (N, ...).
        realism_fake: (N, ...).
        counts_real: what each patch counts, see :func:`patches` and :func:`openings`.
        counts_fake: likewise.
    """
    real, fake = (1 - realism_real).clamp_min(0), (1 + realism_fake).clamp_min(0)
    return (real * counts_real).mean() + (fake * counts_fake).mean()


#: What a patch counts of which nothing was drawn, against one that was drawn as a whole.
UNTOUCHED = 0.02


def patches(drawn: Tensor | None, realism: Tensor) -> Tensor | float:
    """Return weights of patches, (N, h, w), 1 on average over each image; 1 for a generator that draws everything.

    Where most of a picture is the photo's own, a mean over all patches hides the few that were drawn.

    Args:
        drawn: (N, 1, H, W) in [0, 1], or ``None``.
        realism: (N or 2 N, h, w).
    """
    if drawn is None:
        return 1.0
    shares = (
        torch.nn.functional.adaptive_avg_pool2d(drawn.detach(), (realism.shape[-2], realism.shape[-1]))[:, 0]
        + UNTOUCHED
    )
    return shares / shares.mean(dim=(1, 2), keepdim=True)


#: Openings that are smaller than this share of the windows count less.
SMALLEST = 0.02


def openings(shares: Tensor) -> Tensor:
    """Return weights of the patches of windows, (N, P): the restored share of each, normalised over large openings.

    Args:
        shares: of each patch that was restored, (N, P) in [0, 1].
    """
    return shares.detach() / (shares.detach().mean(dim=1, keepdim=True) + SMALLEST)


def adversarial(realism_fake: Tensor, counts: Tensor | float = 1.0) -> Tensor:
    """Return -E[D_I(fake)], which the generator minimises (L_I); ``counts`` as in :func:`hinge`."""
    return -(realism_fake * counts).mean()


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
    """Return the penalty on A that prevents saturation at 1 (Eq. 2, last term).

    Args:
        attention: (N, 1, H, W) in [0, 1].
        form: ``norm``, E[||A||_2] as printed; ``square``, E[mean(A^2)], its like that does not grow with the image;
            ``mean``, E[mean(A)], as the authors' code has it.
    """
    flat = attention.flatten(1)
    if form == "norm":
        norms: Tensor = flat.norm(dim=1)
        return norms.mean()
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
    """Return the mean absolute difference, of a cycled image to the source or a generated one to the ground truth."""
    return (image - truth).abs().mean()


def distance_norm(image: Tensor, truth: Tensor) -> Tensor:
    """Return the l1 norm of the difference, summed over pixels and channels, averaged over the batch (Eq. 4)."""
    return (image - truth).abs().sum() / len(image)


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
    """Return the distance to paired ground truth at full and at quarter size.

    Args:
        image: (N, 3, H, W).
        truth: (N, 3, H, W).
        known: (N,) bool; where it is false there is no true picture, and that row counts as a distance of 0.
    """
    share = known[:, None, None, None].to(image.dtype)
    small = [torch.nn.functional.avg_pool2d(x, 4) for x in (image, truth)]
    return distance(share * image, share * truth) + distance(share * small[0], share * small[1])


def restoration(image: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """Return the absolute difference of restored pixels to the ground truth, as a mean over all pixels.

    Args:
        image: (N, 3, H, W).
        truth: (N, 3, H, W).
        hole: (N, 1, H, W) in [0, 1]; 0 in rows of which the truth is not known.
    """
    return ((image - truth).abs() * hole).mean()
