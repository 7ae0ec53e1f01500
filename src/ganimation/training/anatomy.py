"""Losses of our own: what muscles cannot do to a photo, as functions of an edit.

They bring no new hues (:func:`tint`), nor any but skin's to shut lids (:func:`lids`), they move skin and paint nothing
(:func:`paint`), they do not tear it (:func:`strain`) nor crumple it (:func:`bend`), nor tear a face at the edge of a
mask (:func:`seam`), they pull one way and leave eyeballs where they are (:func:`stray`), and they stay in their half of
the face (:func:`place`). Like the paper's losses these are means over the batch and do not depend on its size; their
weights are those of :class:`ganimation.training.losses.Weights`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ganimation.action_units import half_of
from ganimation.faces.crop import WAIST, border_window

#: Left, top, right and bottom, as shares of the side.
Box = tuple[float, float, float, float]

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


#: Open eyes, and the skin below them, in the default template.
APERTURES = ((0.235, 0.325, 0.395, 0.4), (0.605, 0.325, 0.765, 0.4))
BELOW = ((0.235, 0.43, 0.395, 0.48), (0.605, 0.43, 0.765, 0.48))
#: From so much more of AU45 on an open eye is shut; and so far may the hue of a lid be from that of the skin below.
SHUTS = 0.6
LID_HUE = 0.05


def lids(image: Tensor, source: Tensor, asked: Tensor, aus: Sequence[str]) -> Tensor:
    """Return how far the hue of lids that are asked to shut is from that of the skin below the eye, beyond a little.

    Where an eye was a lid is to be, which is skin. What is drawn there by leave of :func:`tint` may have the iris's
    hue: green lids.

    Args:
        image: (N, 3, H, W) in [-1, 1].
        source: (N, 3, H, W), the photo, aligned to the crop template.
        asked: (N, AUs), target less source.
        aus: their codes.

    Returns:
        The mean over the batch of the mean over the openings of the eyes; rows that are not asked to shut count 0.
    """
    shut = (asked[:, [code == "AU45" for code in aus]] > SHUTS).any(dim=1)
    hue, own = _hue(image), _hue(source.detach())
    apart = [
        (_cut(hue, eye) - _cut(own, below).mean(dim=(2, 3), keepdim=True)).abs()
        for eye, below in zip(APERTURES, BELOW, strict=True)
    ]
    return ((torch.stack(apart) - LID_HUE).clamp_min(0).mean(dim=(0, 2, 3, 4)) * shut).mean()


def _cut(maps: Tensor, box: Box) -> Tensor:
    """Return the part of (N, ..., H, W) in a box of shares of the side."""
    left, top, right, bottom = (round(edge * maps.shape[-1]) for edge in box)
    return maps[..., top:bottom, left:right]


#: Where there are eyes, and an open mouth, in the default template.
EYES = ((0.18, 0.29, 0.44, 0.42), (0.56, 0.29, 0.82, 0.42))
MOUTH = ((0.3, 0.6, 0.7, 1.0),)
#: The AUs that show or hide what is under lids and behind lips, which is nowhere in a photo to be moved from or to;
#: where; what paint counts there; and what torn skin does, for lips part and lids are drawn over an eye. In mouths
#: paint is not free, for that leaves spots on lips, nor in eyes that are opened wide (AU05), for that greys irises.
OPENERS = ((("AU45",), EYES, 0.0, 0.3), (("AU25", "AU26"), MOUTH, 0.3, 0.0))
#: Photos differ by so much in an AU without doing so.
OPENING = 0.1
#: How much more strong paint counts than faint paint: a difference of 0.05 in [-1, 1] counts twice its size.
STRONG = 20.0
#: Skin may be stretched or sheared by so much, as a share of its length, before :func:`strain` counts it.
ELASTIC = 0.7
#: The generator's flow has a value for so many pixels a side.
CELL = 4


def skin(asked: Tensor, aus: Sequence[str], size: int) -> tuple[Tensor, Tensor]:
    """Return what paint counts, and what torn skin counts, each (N, 1, size, size).

    Both are 1, but less in eyes that are asked to shut or be shut no more, and in mouths that are asked to open or
    close, in the default template: closed lids and teeth are nowhere in a photo, but a smile with closed lips has none.

    Args:
        asked: (N, AUs), target less source.
        aus: their codes.
        size: of the maps in pixels.
    """
    painted, torn = (asked.new_ones(len(asked), 1, size, size) for _ in range(2))
    for codes, boxes, *shares in OPENERS:
        opens = (asked[:, [code in codes for code in aus]].abs() > OPENING).any(dim=1)
        for box in boxes:
            left, top, right, bottom = (round(edge * size) for edge in box)
            for counts, share in zip((painted, torn), shares, strict=True):
                counts[opens, :, top:bottom, left:right] = share
    return painted, torn


def paint(color: Tensor, moved: Tensor, attention: Tensor, counts: Tensor) -> Tensor:
    """Return how much of the result is painted and not moved from elsewhere in the photo, as a mean over pixels.

    Muscles move skin. Where a flow can do what is asked, nothing needs drawing, and what a critic likes to see drawn
    (dark lines for furrows, teeth on lips) has to be worth it. Elsewhere, where teeth and lids are strong, its square
    is free.

    Args:
        color: C (N, 3, H, W) in [-1, 1].
        moved: the photo moved by the flow (N, 3, H, W), aligned to the crop template.
        attention: A (N, 1, H, W) in [0, 1].
        counts: (N, 1, H, W), the first of :func:`skin`.
    """
    painted = (1 - attention) * (color - moved).abs()
    return (painted * counts + STRONG * painted.square() * (counts == 1)).mean()


def strain(flow: Tensor, counts: Tensor) -> Tensor:
    """Return how far the flow tears skin: the squared strain beyond :data:`ELASTIC`, as a mean over pixels.

    A flow that may change from pixel to pixel draws as well: lines of brows pulled out into the forehead. Mouths that
    open or close are left out.

    Args:
        flow: (N, 2, H, W), x and y from each pixel to where it comes from, as shares of half the width and height.
        counts: (N, 1, H, W), the second of :func:`skin`.
    """
    height, width = flow.shape[2:]
    pixels = flow * flow.new_tensor([width / 2, height / 2])[:, None, None]
    down, right = pixels.diff(dim=2)[..., 1:], pixels.diff(dim=3)[:, :, 1:]
    size = (down.square() + right.square()).sum(dim=1, keepdim=True).clamp_min(1e-12).sqrt()
    return ((size - ELASTIC).clamp_min(0).square() * counts[:, :, 1:, 1:]).mean()


def bend(flow: Tensor, counts: Tensor) -> Tensor:
    """Return how sharply the flow bends: its thin-plate energy (Bookstein 1989), as a mean over cells.

    Skin moves with the skin around it. A flow that moves each spot a little otherwise than its neighbours stretches
    nothing far, but curls the ends of brows and warps lids. Measured is how much the stretch changes from one cell
    of the grid that the network draws to the next.

    Args:
        flow: (N, 2, H, W), x and y from each pixel to where it comes from, as shares of half the width and height.
        counts: (N, 1, H, W), the second of :func:`skin`.
    """
    height, width = flow.shape[2:]
    cells = torch.nn.functional.avg_pool2d(flow * flow.new_tensor([width / 2, height / 2])[:, None, None], CELL) / CELL
    free = torch.nn.functional.max_pool2d(1 - counts, CELL)  # of a cell of which a part is free, all is
    down, right = cells.diff(n=2, dim=2)[..., 1:-1], cells.diff(n=2, dim=3)[:, :, 1:-1]
    twist = cells.diff(dim=2).diff(dim=3)
    twist = torch.nn.functional.avg_pool2d(twist.square(), 2, stride=1)
    energy = (down.square() + right.square() + 2 * twist).sum(dim=1, keepdim=True)
    return (energy * (1 - free)[:, :, 1:-1, 1:-1]).mean()


#: Forehead and brows down to the root of the nose, and the middles of the irises, in the default template.
BROWS = ((0.1, 0.1, 0.9, 0.31),)
IRISES = ((0.285, 0.33, 0.345, 0.37), (0.655, 0.33, 0.715, 0.37))
#: Which way AUs move brows: what is asked of one, times this, raises them where it is above 0.
RAISERS = {"AU01": 1.0, "AU02": 1.0, "AU04": -1.0, "AU09": -1.0}
#: So far, as a share of the side, may brows rise for a raiser of 1, and lids be drawn over an eye that shuts.
RISE = 0.1
FOLD = 0.015


def stray(flow: Tensor, asked: Tensor, aus: Sequence[str]) -> Tensor:
    """Return how far the flow moves what no muscle moves so, as a share of the side.

    A muscle pulls one way. Only the frontalis raises brows: a frown lowers them and a smile leaves them. No muscle of
    the face moves an eyeball: lids open and narrow around an iris that stays. And a lid that shuts unfolds; one that is
    drawn far over an eye has the brow on it.

    Args:
        flow: (N, 2, H, W), x and y from each pixel to where it comes from, as shares of half the width and height.
        asked: (N, AUs), target less source.
        aus: their codes.

    Returns:
        The mean over the batch of the excess, itself a mean over brows plus a mean over irises, or over eyes that are
        asked to shut or be shut no more.
    """
    shift = flow / 2
    pulls = asked.new_tensor([RAISERS.get(code, 0.0) for code in aus])
    raised = (asked * pulls).clamp_min(0).amax(dim=1)[:, None, None]
    length = shift.square().sum(dim=1).clamp_min(1e-12).sqrt()
    shut = (asked[:, [code == "AU45" for code in aus]].abs() > OPENING).any(dim=1)
    eyes = torch.where(shut, _mean_in(EYES, (length - FOLD).clamp_min(0)), _mean_in(IRISES, length))
    return (_mean_in(BROWS, (shift[:, 1] - RISE * raised).clamp_min(0)) + eyes).mean()


def _mean_in(boxes: Sequence[Box], values: Tensor) -> Tensor:
    """Return (N,), the mean of (N, H, W) over boxes of one size, in shares of the side."""
    return torch.stack([_cut(values, box) for box in boxes]).mean(dim=(0, 2, 3))


def seam(color: Tensor, source: Tensor, attention: Tensor) -> Tensor:
    """Return how far C is from the photo where the mask ends, as a mean over pixels.

    Where A changes from one pixel to the next, C and the photo meet. If the flow moves a chin there and the mask keeps
    the jaw beside it, the outline is torn, though C alone has none. The border of the crop is such an edge too: an
    edit is led back to the photo there (:func:`ganimation.faces.crop.border_window`).

    Args:
        color: C (N, 3, H, W) in [-1, 1].
        source: (N, 3, H, W), the photo.
        attention: A (N, 1, H, W) in [0, 1].
    """
    window = torch.from_numpy(border_window(attention.shape[-1])).to(attention)
    change = (1 - attention) * window
    apart = (color - source).abs().mean(dim=1, keepdim=True)
    seams = []
    for axis in (2, 3):
        length = apart.shape[axis] - 1
        beside = (apart.narrow(axis, 0, length) + apart.narrow(axis, 1, length)) / 2
        seams.append((change.diff(dim=axis).abs() * beside).mean())
    return seams[0] + seams[1]


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
