import pytest
import torch

from ganimation.networks.critic import ApertureCritic, Critic
from ganimation.networks.generator import Generator, ResizeConv, blend, warp
from ganimation.networks.muscles import FLATTENED, Muscles, Restorer, Shading, light, move, shade


def count(network: torch.nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def test_the_papers_networks_have_the_authors_parameter_counts() -> None:
    assert count(Generator(17)) == 8_471_296
    assert count(Critic(17, 128)) == 44_860_352


@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 48, 80)])
def test_generator_shapes_ranges_and_gradients(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    number, height, width = shape
    generator = Generator(5, width=4, blocks=2)
    source = torch.rand(number, 3, height, width) * 2 - 1
    color, attention = generator(source, torch.rand(number, 5))
    assert color.shape == (number, 3, height, width)
    assert attention.shape == (number, 1, height, width)
    assert color.abs().max() <= 1
    assert attention.min() >= 0
    assert attention.max() <= 1
    (color.square().mean() + attention.square().mean()).backward()
    assert_gradients(generator)


def assert_gradients(network: torch.nn.Module) -> None:
    for name, value in network.named_parameters():
        assert value.grad is not None, name
        assert value.grad.abs().sum() > 0, name


def geometry(number: int, size: int) -> torch.Tensor:
    """A face everywhere, that moves a little, with an open mouth of which nothing was seen."""
    maps = torch.zeros(number, 7, size, size)
    maps[:, 2] = 1
    maps[:, 3:5] = 0.02
    maps[:, 5, 3 * size // 4 - 4 : 3 * size // 4 + 4, size // 2 - 8 : size // 2 + 8] = 1
    return maps


def test_muscles_shapes_ranges_and_gradients() -> None:
    torch.manual_seed(0)
    generator = Muscles("uulbl", width=4, blocks=2, restorer_width=4)
    torch.nn.init.normal_(generator.shading.fields.weight, 0, 0.1)
    source, change = torch.rand(3, 3, 64, 64) * 2 - 1, torch.rand(3, 5) - 0.5
    change[1] = 0
    generator.shading.register_buffer("measured", torch.full((5, 96, 96), 0.125))
    color, hole, fields, own, drawn = generator(source, change, geometry(3, 64))
    assert color.shape == (3, 3, 64, 64)
    assert fields.shape == (3, 5, 64, 64)
    assert color.abs().max() <= 1
    assert not fields[1].any()
    assert not own[1].any()
    guide = geometry(3, 64)[:, :3]
    assert torch.allclose(fields[0], own[0] + FLATTENED * 0.125 * guide[0, 2:], atol=1e-6)
    assert torch.equal(generator.shading(source, guide)[0], fields[0])
    assert not drawn[1].any()
    assert drawn[0].any()
    assert not (drawn * hole).any()
    assert torch.equal(hole, geometry(3, 64)[:, 5:6])
    color.square().mean().backward()
    assert_gradients(generator)


def test_an_edit_is_linear_in_the_intensities_but_for_what_is_restored() -> None:
    """Shading is a factor: its logarithm for two changes is the sum of those for each."""
    torch.manual_seed(0)
    source, fields = torch.rand(1, 3, 32, 32) * 0.5 - 0.5, -0.3 * torch.rand(1, 5, 32, 32)
    first, second = 0.3 * torch.rand(1, 5), 0.3 * torch.rand(1, 5)
    log = [((shade(source, fields, a) + 1) / (source + 1)).log() for a in (first, second, first + second)]
    assert torch.allclose(log[0] + log[1], log[2], atol=1e-5)
    assert torch.allclose(shade(source, fields, torch.zeros(1, 5)), source, atol=1e-6)


def test_what_stays_is_the_photo_and_what_opens_is_a_hole() -> None:
    source, shaded = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    aperture, kept = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    aperture[..., 8:24, 8:24], kept[..., 8:12, 8:24] = 1, 1
    flow = torch.full((1, 2, 32, 32), 4 * 2 / 32)  # four pixels from below right
    image, hole = move(source, shaded, flow, aperture, kept)
    assert torch.equal(hole[0, 0, 12:24, 8:24], torch.ones(12, 16))
    assert hole.sum() == 12 * 16
    assert torch.equal(image[..., 8:12, 8:24], source[..., 8:12, 8:24])
    assert torch.allclose(image[..., :8, :20], shaded[..., 4:12, 4:24], atol=1e-5)
    still, none = move(source, source, torch.zeros(1, 2, 32, 32), aperture, aperture)
    assert torch.equal(still, source)
    assert not none.any()


def test_a_restorer_does_not_see_the_hole() -> None:
    torch.manual_seed(0)
    restorer, hole = Restorer(4), torch.zeros(1, 1, 32, 48)
    hole[..., 8:24, 8:24] = 1
    first = torch.rand(1, 3, 32, 48) * 2 - 1
    second = torch.where(hole > 0, torch.rand(1, 3, 32, 48), first)
    assert torch.allclose(restorer(first, hole, hole), restorer(second, hole, hole), atol=1e-6)
    assert restorer(first, hole, hole).shape == (1, 3, 32, 48)


def test_a_restorer_sees_of_the_skin_around_an_aperture_only_its_light() -> None:
    torch.manual_seed(0)
    restorer, hole, aperture = Restorer(4), torch.zeros(1, 1, 32, 48), torch.zeros(1, 1, 32, 48)
    hole[..., 8:24, 8:24], aperture[..., 8:24, 8:32] = 1, 1
    skin = torch.rand(1, 3, 32, 48) * 2 - 1
    checks = 0.5 * (torch.arange(32)[:, None] % 2 * 2 - 1) * (torch.arange(48) % 2 * 2 - 1)
    textured = skin + (1 - aperture) * checks
    inside = skin + (aperture - hole) * checks
    drawn = restorer(skin, hole, aperture)
    assert torch.allclose(restorer(textured, hole, aperture), drawn, atol=1e-5)
    assert (restorer(inside, hole, aperture) - drawn).abs().max() > 1e-3


def test_light_fills_what_is_not_seen_and_keeps_what_is_even() -> None:
    seen = torch.ones(1, 1, 32, 48)
    seen[..., 8:24, 16:32] = 0
    window = torch.where(seen > 0, torch.tensor([0.5, -0.25, 0.0])[None, :, None, None], 1.0)
    filled = light(window, seen)
    assert filled.shape == window.shape
    assert torch.allclose(filled, torch.tensor([0.5, -0.25, 0.0])[None, :, None, None].expand_as(filled), atol=0.01)


def test_shading_is_nothing_at_first_and_outside_the_face() -> None:
    torch.manual_seed(0)
    shading, maps = Shading("uulbl", width=4, blocks=1), geometry(1, 64)[:, :3]
    source = torch.rand(1, 3, 64, 64)
    assert shading(source, maps).abs().max() < 0.1
    torch.nn.init.normal_(shading.fields.weight, 0, 0.1)
    maps[..., :32] = 0
    fields = shading(source, maps)
    assert not fields[..., :32].any()
    assert fields[..., 32:].any()


def test_a_resize_convolution_is_one_of_doubled_pixels() -> None:
    torch.manual_seed(0)
    layer, image = ResizeConv(3, 5), torch.randn(2, 3, 6, 9)
    doubled = torch.nn.functional.interpolate(image, scale_factor=2, mode="nearest")
    expected = torch.nn.functional.conv2d(doubled, layer.weight, padding=1)
    assert torch.allclose(layer(image), expected, atol=1e-5)
    assert list(layer.state_dict()) == ["weight"]


def test_a_warp_takes_pixels_from_where_the_flow_points() -> None:
    source = torch.rand(2, 3, 16, 32)
    assert torch.equal(warp(source, torch.zeros(2, 2, 16, 32)), source)
    flow = torch.zeros(2, 2, 16, 32)
    flow[:, 0], flow[:, 1] = 3 * 2 / 32, 2 * 2 / 16  # three columns to the right, two rows down
    moved = warp(source, flow)
    assert torch.allclose(moved[:, :, :-2, :-3], source[:, :, 2:, 3:], atol=1e-5)
    assert torch.allclose(moved[:, :, -1, -1], source[:, :, -1, -1], atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 8), (32, 48)])
def test_the_first_layer_sees_a_constant_map_for_each_au(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    generator = Generator(5, width=4, blocks=1)
    source, condition = torch.randn(2, 3, *shape), torch.rand(2, 5) - 0.5
    seen: list[torch.Tensor] = []
    generator.stem[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    generator(source, condition)
    maps = condition[:, :, None, None].expand(-1, -1, *shape)
    assert torch.allclose(seen[0], generator.stem[0](torch.cat([source, maps], dim=1)), atol=1e-4)
    with pytest.raises(ValueError, match="an image of 4x4: the generator takes 8 pixels"):
        generator(source[:, :, :4, :4], condition)


def test_the_condition_reaches_the_output() -> None:
    torch.manual_seed(0)
    generator = Generator(5, width=4, blocks=1)
    source = torch.rand(1, 3, 32, 32) * 2 - 1
    first, second = (generator(source, torch.full((1, 5), value))[0] for value in (0.0, 1.0))
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("size", [64, 128])
def test_critic_shapes_and_gradients(size: int) -> None:
    torch.manual_seed(0)
    critic = Critic(5, size, width=4, cap=8)
    realism, aus, restored, _ = critic(torch.rand(1, 3, size, size))
    assert restored is None
    assert realism.shape == (1, size // 64, size // 64)
    assert aus.shape == (1, 5)
    (realism.sum() + aus.sum()).backward()
    assert_gradients(critic)
    with pytest.raises(ValueError, match="multiple of 64"):
        Critic(5, size + 2)


def test_what_was_restored_answers_to_its_own_critic_alone() -> None:
    """And what is around it to the other one."""
    torch.manual_seed(0)
    critic = Critic(5, 64, width=4, layers=3, cap=8, spectral=True, muscles=True)
    hole = torch.zeros(2, 1, 64, 64)
    hole[:, :, 40:48, 24:40] = 1.0
    image = torch.rand(2, 3, 64, 64, requires_grad=True)
    judged = critic(image, torch.zeros(2, 1, 64, 64), hole)
    assert judged.restored is not None
    assert judged.shares is not None
    assert judged.restored.shape == judged.shares.shape == (2, 6 * 2 + 4 * 4)
    assert float(judged.shares.sum()) == pytest.approx(2 * 8 * 16 / 8**2)
    (outside,) = torch.autograd.grad(judged.realism.sum() + judged.aus.sum(), image, retain_graph=True)
    (inside,) = torch.autograd.grad(judged.restored.sum(), image)
    assert float((outside * hole).abs().max()) == 0 < float(outside.abs().max())
    assert float((inside * (1 - hole)).abs().max()) == 0 < float(inside.abs().max())


def test_a_critic_of_apertures_sees_of_what_is_around_them_only_the_light() -> None:
    torch.manual_seed(0)
    critic = ApertureCritic(4).eval()
    hole = torch.zeros(1, 1, 64, 64)
    hole[:, :, 48:56, 24:40] = 1.0
    plain = torch.full((1, 3, 64, 64), 0.5)
    stripes = plain + 0.3 * (torch.arange(64) % 2 * 2 - 1) * (1 - hole)
    assert torch.allclose(critic(plain, hole)[0], critic(stripes, hole)[0], atol=1e-4)
    dark = plain - 0.3 * (1 - hole)
    assert not torch.allclose(critic(plain, hole)[0], critic(dark, hole)[0], atol=1e-4)


def test_a_critic_with_spectral_norms_is_no_steeper_than_its_layers_allow() -> None:
    """Each layer is Lipschitz with at most its taps' overlap, 2, whatever its weights."""
    torch.manual_seed(0)
    critic = Critic(5, 64, width=8, layers=3, cap=16, spectral=True).train()
    for layer in critic.body:
        if isinstance(layer, torch.nn.Conv2d):
            layer.parametrizations.weight.original.data *= 100  # type: ignore[union-attr, operator]
    image = torch.rand(1, 3, 64, 64)
    for _ in range(30):
        critic(image)
    critic.eval()
    weights = [layer.weight.detach() for layer in critic.body if isinstance(layer, torch.nn.Conv2d)]
    assert [float(torch.linalg.matrix_norm(w.flatten(1), 2)) for w in weights] == pytest.approx([1.0] * 3, rel=0.02)


def test_the_blend_keeps_the_source_where_attention_is_one() -> None:
    source, color = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    attention = torch.tensor([1.0, 0.0, 0.25, 1.0]).reshape(1, 1, 1, 4).expand(1, 1, 4, 4)
    image = blend(source, color, attention)
    assert torch.equal(image[..., 0], source[..., 0])
    assert torch.equal(image[..., 1], color[..., 1])
    assert torch.allclose(image[..., 2], 0.75 * color[..., 2] + 0.25 * source[..., 2])
