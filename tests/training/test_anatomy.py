"""What muscles cannot do, on cases whose answer is known in closed form."""

import pytest
import torch
from torch import Tensor

from ganimation.training import anatomy


def test_hues_of_the_surroundings_less_of_them_and_grey_are_free_and_others_count() -> None:
    source = torch.zeros(1, 3, 32, 32)
    source[:, 0] = 0.3  # reddish skin
    source[:, 0, 10:12, 10:12] = 0.6  # and lips
    near, far, green = source.clone(), source.clone(), source.clone()
    near[:, 0, 13, 13] = 0.6  # lips moved
    near[:, :, 20:25, 20:25] = 0.9  # teeth
    near[:, :, 26:29, 20:25] = -1.0  # a shadow
    assert anatomy.tint(near, source).item() == 0
    half_lit = (source + 1) / 2 - 1
    assert anatomy.tint(half_lit, source).item() == 0
    lash = source.clone()
    lash[:, :, 20, 20] = source[:, :, 20, 20] - 0.6  # as far from grey as before, and darker: redder
    assert anatomy.tint(lash, source).item() > 0
    far[:, 0, 30, 30] = 0.6
    green[:, 1, 30, 30] = 0.9
    assert anatomy.tint(far, source).item() > 0
    assert anatomy.tint(green, source).item() > anatomy.tint(far, source).item()
    large = torch.zeros(1, 3, 128, 128)
    large[:, 0] = 0.3
    large[:, 0, 50, 50] = 0.9  # the red corner of an eye
    large[:, 0, 60:66, 60:70] = 0.6
    assert anatomy.tint(large, large).item() == 0
    lid = large.clone()
    lid[:, 0, 50, 45:50] = 0.9
    assert anatomy.tint(lid, large).item() > 0
    lips = large.clone()
    lips[:, 0, 66, 62:68] = 0.6
    assert anatomy.tint(lips, large).item() == 0
    dark = far.clone().requires_grad_()
    anatomy.tint(dark, source).backward()
    assert dark.grad is not None
    assert dark.grad[0, 0, 30, 30] > 0
    assert dark.grad[0, 0, 10, 10] == 0


def test_change_counts_where_nothing_was_asked() -> None:
    aus = ("AU04", "AU06", "AU12")
    asked = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.0, -0.5], [0.0, 0.3, 0.0], [0.0, 0.0, 0.0], [0.5, 0.0, 0.5]])
    still = anatomy.still_halves(asked, aus)
    assert still.tolist() == [[False, True], [True, False], [False, False], [True, True], [False, False]]
    source = torch.zeros(5, 3, 50, 50)
    upper, lower = source.clone(), source.clone()
    upper[:, :, :27] = 1.0
    lower[:, :, 27:] = 1.0
    for changed, share, rows in ((upper, 0.54, (1, 3)), (lower, 0.46, (0, 3))):
        assert anatomy.place(changed, source, still).item() == pytest.approx(share * len(rows) / 5)
        for row in range(5):
            alone = anatomy.place(changed[row : row + 1], source[row : row + 1], still[row : row + 1]).item()
            assert alone == pytest.approx(share if row in rows else 0)


def test_paint_counts_on_skin_and_less_where_an_eye_or_a_mouth_is_asked_to_open_or_close() -> None:
    torch.manual_seed(0)
    moved = torch.rand(1, 3, 100, 100)
    attention = torch.full((1, 1, 100, 100), 0.25)
    line, teeth, lids = (moved.clone() for _ in range(3))
    line[:, :, 15:25, 40:50] -= 0.4
    teeth[:, :, 62:75, 32:68] = 1
    lids[:, :, 31:40, 20:42] = -1
    aus = ("AU05", "AU12", "AU25", "AU45")
    nothing, noise, jaw, blink = (
        anatomy.skin(torch.tensor([asked]), aus, 100)[0]
        for asked in ([0.0, 1.0, 0.0, 0.0], [0.05, 0.0, -0.05, 0.05], [0.0, 0.0, -0.5, 0.0], [0.0, 0.0, 0.0, 1.0])
    )
    assert torch.equal(nothing, torch.ones(1, 1, 100, 100))
    assert torch.equal(noise, nothing)
    assert torch.equal(anatomy.skin(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), aus, 100)[0], nothing)  # eyes opened wide
    assert anatomy.paint(moved, moved, attention, nothing).item() == 0

    def by_hand(picture: Tensor, *, skin: bool = True) -> float:
        painted = 0.75 * (picture - moved).abs()
        return (painted + 20 * painted.square() * skin).mean().item()

    for picture, elsewhere, there, share in ((teeth, blink, jaw, 0.3), (lids, jaw, blink, 0.0)):
        assert by_hand(picture) > 0.004
        for skin in (nothing, elsewhere):
            assert anatomy.paint(picture, moved, attention, skin).item() == pytest.approx(by_hand(picture), rel=1e-4)
        counted = anatomy.paint(picture, moved, attention, there).item()
        assert counted == pytest.approx(share * by_hand(picture, skin=False), rel=1e-4)
    assert anatomy.paint(line, moved, attention, jaw).item() == pytest.approx(by_hand(line), rel=1e-4)
    assert anatomy.paint(line, moved, torch.ones_like(attention), jaw).item() == 0


def test_a_flow_may_stretch_skin_and_tear_only_what_is_asked_to_open_or_to_shut() -> None:
    pixel = 2 / 100  # of the flow's unit, half the side
    still, stretched, mouth, torn = (torch.zeros(1, 2, 100, 100) for _ in range(4))
    stretched[:, 1] = 0.6 * pixel * torch.arange(100.0)[:, None]
    mouth[:, 1, 65:75, 35:65] = 10 * pixel
    torn[:, 1, 10:20, 50:] = 3 * pixel
    asked, smile = (anatomy.skin(torch.tensor([aus]), ("AU12", "AU26"), 100)[1] for aus in ([0.0, 1.0], [1.0, 0.0]))
    for flow in (still, stretched, mouth):
        assert anatomy.strain(flow, asked).item() == 0
    assert anatomy.strain(mouth, smile).item() > 0.1
    lids = torch.zeros(1, 2, 100, 100)
    lids[:, 1, 34:38, 25:40] = 3 * pixel
    skin, blink = (anatomy.skin(torch.tensor([[value]]), ("AU45",), 100)[1] for value in (0.0, 1.0))
    for measure in (anatomy.strain, anatomy.bend):
        assert measure(lids, skin).item() > 1e-3
        assert measure(lids, blink).item() == pytest.approx(0.3 * measure(lids, skin).item(), rel=0.1)
    border = 10 + 2 * 50  # pixels at its left, its upper and its lower border
    assert anatomy.strain(torn, asked).item() == pytest.approx(border * (3 - 0.7) ** 2 / 99**2, rel=0.02)


def test_a_flow_may_move_skin_and_stretch_it_evenly_but_not_bend_sharply() -> None:
    cell = 8 / 128  # four pixels, of the flow's unit
    still, stretched, sheared, bent, twisted, mouth, doubled = (torch.zeros(1, 2, 128, 128) for _ in range(7))
    along = torch.arange(128.0) / 4
    stretched[:, 1] = 0.4 * cell * along[:, None]
    sheared[:, 0] = 0.4 * cell * along[:, None]
    bent[:, 1] = 0.4 * cell * (along - 16).clamp_min(0)[:, None]
    twisted[:, 0] = 0.1 * cell * along[:, None] * along
    mouth[:, 1, 92:104, 48:76] = cell
    doubled[:] = 2 * bent
    asked, smile = (anatomy.skin(torch.tensor([aus]), ("AU12", "AU26"), 128)[1] for aus in ([0.0, 1.0], [1.0, 0.0]))
    for flow in (still, still + cell, stretched, sheared, mouth):
        assert anatomy.bend(flow, asked).item() == pytest.approx(0, abs=1e-9)
    assert anatomy.bend(mouth, smile).item() > 0.01
    # the means of cells are 0, .15, .55, .95: the stretch changes by .15 and .25, on 2 of 30 lines of cells
    by_hand = (0.15**2 + 0.25**2) / 30
    skin = torch.ones(1, 1, 128, 128)
    assert anatomy.bend(bent, skin).item() == pytest.approx(by_hand, rel=1e-3)
    assert anatomy.bend(doubled, skin).item() == pytest.approx(4 * anatomy.bend(bent, skin).item(), rel=1e-4)
    assert anatomy.bend(bent.transpose(2, 3), skin).item() == pytest.approx(anatomy.bend(bent, skin).item(), rel=1e-4)
    assert anatomy.bend(twisted, skin).item() == pytest.approx(2 * 0.1**2, rel=1e-3)


def test_lids_that_are_asked_to_shut_have_the_hue_of_the_skin_below() -> None:
    red, green = torch.tensor([0.6, 0.4, 0.2]), torch.tensor([0.4, 0.6, 0.2])  # grey .4: hues .2 / .6, 0, -.2 / .6
    photo = (2 * red - 1)[None, :, None, None].repeat(1, 1, 128, 128)
    drawn = photo.clone()
    drawn[:, :, 40:53, 20:108] = (2 * green - 1)[:, None, None]

    def lids(image: Tensor, *asked: float) -> float:
        return anatomy.lids(image, photo, torch.tensor([asked]), ("AU12", "AU45")).item()

    assert lids(photo, 0.0, 1.0) == pytest.approx(0, abs=1e-6)
    assert lids(drawn, 0.0, 1.0) == pytest.approx(2 * (0.2 / 0.6 - 0.05) / 3, rel=1e-4)
    for unasked in ((0.0, 0.5), (1.0, 0.0), (0.0, -1.0)):
        assert lids(drawn, *unasked) == 0
    cheeks = photo.clone()
    cheeks[:, :, 55:] = drawn[:, :, 45:46, 45:46]
    assert lids(cheeks, 0.0, 1.0) == pytest.approx(0, abs=1e-6)


def test_a_flow_may_raise_brows_only_for_a_raiser_and_never_moves_an_iris() -> None:
    still, rising, sinking, mouth = (torch.zeros(1, 2, 128, 128) for _ in range(4))
    rising[:, 1], sinking[:, 1], mouth[:, :, 80:] = 0.08, -0.08, 0.08  # by a twenty-fifth of the side
    none = [0.0, 0.0, 0.0, 0.0]

    def stray(flow: Tensor, aus: list[float]) -> float:
        return anatomy.stray(flow, torch.tensor([aus]), ("AU02", "AU04", "AU12", "AU45")).item()

    for flow in (still, mouth):
        assert stray(flow, none) == pytest.approx(0, abs=1e-5)
    iris = 0.04
    assert stray(sinking, none) == pytest.approx(iris, rel=1e-4)
    for unasked in (none, [-1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]):
        assert stray(rising, unasked) == pytest.approx(0.04 + iris, rel=1e-4)
    for raiser in ([1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0]):
        assert stray(rising, raiser) == pytest.approx(iris, rel=1e-4)
    assert stray(rising, [0.3, 0.0, 0.0, 0.0]) == pytest.approx(0.01 + iris, rel=1e-4)
    for blink in (1.0, -1.0):  # lids may unfold
        assert stray(sinking, [0.0, 0.0, 0.0, blink]) == pytest.approx(0.04 - 0.015, rel=1e-3)


def test_a_seam_is_where_the_mask_ends_and_c_is_not_the_photo() -> None:
    source = torch.zeros(1, 3, 100, 100)
    keep = torch.ones(1, 1, 100, 100)
    edit, everything = keep.clone(), keep - 1
    edit[:, :, 40:60, 40:60] = 0
    inside, outside = source.clone(), source.clone()
    inside[:, :, 45:55, 45:55] = 0.8  # as the photo where the mask ends
    outside[:, :, 40:50, 30:70] = 0.8  # the mask keeps the rest of it
    assert anatomy.seam(source, source, edit).item() == 0
    assert anatomy.seam(outside, source, keep).item() == 0
    assert anatomy.seam(inside, source, edit).item() == 0
    across, along = (
        2 * 10 * 0.8,
        20 * 0.4,
    )  # left and right of it; and above
    assert anatomy.seam(outside, source, edit).item() == pytest.approx((across + along) / (99 * 100), rel=1e-4)
    low = source.clone()
    low[:, :, 90:] = 0.8  # a chin that leaves the crop
    assert anatomy.seam(low, source, everything).item() > 0.0
    assert anatomy.seam(inside, source, everything).item() == 0
