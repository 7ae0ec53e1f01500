import pytest
import torch

from ganimation.networks.critic import Critic
from ganimation.networks.generator import ColorHead, Generator, Injection, ResizeConv, Upsample, blend, warp


def count(network: torch.nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def test_the_papers_networks_have_the_authors_parameter_counts() -> None:
    assert count(Generator(17)) == 8_471_296
    assert count(Critic(17, 128)) == 44_860_352


@pytest.mark.parametrize(
    ("upsample", "head", "injection"),
    [
        ("transposed", "paint", "maps"),
        ("resize", "paint", "maps"),
        ("resize", "warp", "maps"),
        ("resize", "warp", "blocks"),
    ],
)
@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 48, 80)])
def test_generator_shapes_ranges_and_gradients(
    upsample: Upsample, head: ColorHead, injection: Injection, shape: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    number, height, width = shape
    generator = Generator(5, width=4, blocks=2, upsample=upsample, color_head=head, injection=injection)
    source = torch.rand(number, 3, height, width) * 2 - 1
    color, attention, motion = generator(source, torch.rand(number, 5))
    assert color.shape == (number, 3, height, width)
    assert attention.shape == (number, 1, height, width)
    assert (motion is None) == (head == "paint")
    assert color.abs().max() <= 1
    assert attention.min() >= 0
    assert attention.max() <= 1
    (color.square().mean() + attention.square().mean()).backward()
    for name, value in generator.named_parameters():
        assert value.grad is not None, name
        assert value.grad.abs().sum() > 0, name


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
    generator.body[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    generator(source, condition)
    maps = condition[:, :, None, None].expand(-1, -1, *shape)
    assert torch.allclose(seen[0], generator.body[0](torch.cat([source, maps], dim=1)), atol=1e-4)
    with pytest.raises(ValueError, match="an image of 4x4: the generator takes 8 pixels"):
        generator(source[:, :, :4, :4], condition)


@pytest.mark.parametrize("injection", ["maps", "blocks"])
def test_the_condition_reaches_the_output(injection: Injection) -> None:
    torch.manual_seed(0)
    generator = Generator(5, width=4, blocks=1, injection=injection)
    source = torch.rand(1, 3, 32, 32) * 2 - 1
    first, second = (generator(source, torch.full((1, 5), value))[0] for value in (0.0, 1.0))
    assert (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("size", [64, 128])
def test_critic_shapes_and_gradients(size: int) -> None:
    torch.manual_seed(0)
    critic = Critic(5, size, width=4, cap=8)
    realism, aus = critic(torch.rand(1, 3, size, size))
    assert realism.shape == (1, size // 64, size // 64)
    assert aus.shape == (1, 5)
    (realism.sum() + aus.sum()).backward()
    for name, value in critic.named_parameters():
        assert value.grad is not None, name
        assert value.grad.abs().sum() > 0, name
    with pytest.raises(ValueError, match="multiple of 64"):
        Critic(5, size + 2)


def test_the_blend_keeps_the_source_where_attention_is_one() -> None:
    source, color = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    attention = torch.tensor([1.0, 0.0, 0.25, 1.0]).reshape(1, 1, 1, 4).expand(1, 1, 4, 4)
    image = blend(source, color, attention)
    assert torch.equal(image[..., 0], source[..., 0])
    assert torch.equal(image[..., 1], color[..., 1])
    assert torch.allclose(image[..., 2], 0.75 * color[..., 2] + 0.25 * source[..., 2])
