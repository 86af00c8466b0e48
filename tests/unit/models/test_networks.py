"""The networks are those of the papers: parameters, shapes, contrast step."""

import pytest
import torch
from torch import Tensor, nn

from models.networks.bcet import MEAN, bcet
from models.networks.cnn3d_classifier import Cnn3dClassifier
from models.networks.elu_unet import EluUnet
from models.networks.small_unet import SmallUnet
from models.networks.unet_resnet34 import ResNet34, UnetResNet34
from models.networks.window import scaled


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_classifier_has_the_parameters_of_the_paper() -> None:
    assert parameters(Cnn3dClassifier()) == 85_555


def test_the_classifier_answers_three_classes_for_any_size() -> None:
    network = Cnn3dClassifier().eval()
    with torch.no_grad():
        assert network(torch.rand(2, 1, 16, 32, 48)).shape == (2, 3)


def test_every_layer_of_the_classifier_learns() -> None:
    torch.manual_seed(0)
    network = Cnn3dClassifier()
    network(torch.rand(2, 1, 16, 32, 32)).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    assert [name for name, p in network.named_parameters() if name.endswith("weight") and not p.grad.any()] == []


def test_the_network_of_lung_tumours_has_the_parameters_of_the_paper() -> None:
    assert parameters(EluUnet()) == 31_030_593, "31.0 million"


def test_the_network_of_lung_tumours_answers_every_pixel_and_drops_before_its_last_two_levels() -> None:
    torch.manual_seed(0)
    network, image = EluUnet((4, 8, 16, 32, 64)), torch.rand(1, 1, 64, 96)
    with torch.no_grad():
        assert network(image).shape == image.shape
        shallow = [network.first(image) for _ in range(2)]
        assert not torch.equal(network(image), network(image)) and torch.equal(*shallow)
        assert torch.equal(network.eval()(image), network(image))


def test_the_encoder_is_a_resnet_34_without_its_classifier() -> None:
    assert parameters(ResNet34(3)) == 21_284_672
    assert parameters(ResNet34(3)) - parameters(ResNet34(1)) == 2 * 64 * 7 * 7
    with torch.no_grad():
        levels = ResNet34(1).eval()(torch.rand(1, 1, 64, 96))
    assert [level.shape[1:] for level in levels] == [
        (64, 32, 48),
        (64, 16, 24),
        (128, 8, 12),
        (256, 4, 6),
        (512, 2, 3),
    ]


@pytest.mark.parametrize("inputs", [1, 3])
def test_the_u_net_answers_every_pixel(inputs: int) -> None:
    network = UnetResNet34(2, inputs=inputs).eval()
    with torch.no_grad():
        assert network(torch.rand(1, inputs, 64, 96)).shape == (1, 2, 64, 96)


def test_the_contrast_step_comes_before_the_u_net() -> None:
    torch.manual_seed(0)
    network = UnetResNet34(1, contrast=True).eval()
    image = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        with_step = network(image)
        network.contrast = False
        assert torch.equal(with_step, network(bcet(image)))


def test_the_small_u_net_is_small_and_answers_every_pixel() -> None:
    network = SmallUnet(2).eval()
    assert 1.0e6 < parameters(network) < 1.3e6
    with torch.no_grad():
        assert network(torch.rand(1, 1, 32, 48)).shape == (1, 2, 32, 48)


def test_the_window_clips_and_scales() -> None:
    assert scaled(torch.tensor([-3000, -1250, -500, 250, 3000], dtype=torch.int16), (-1250, 250)).tolist() == [
        0.0,
        0.0,
        0.5,
        1.0,
        1.0,
    ]


def liu(x: Tensor, mean: float) -> Tensor:
    """The parabola through minimum, maximum and mean as Liu (1991) solves it, for one image and the range 0-1."""
    l, h, e, s = x.min(), x.max(), x.mean(), x.square().mean()  # noqa: E741
    b = (h**2 * mean - s + l**2 * (1 - mean)) / (2 * (h * mean - e + l * (1 - mean)))
    a = 1 / ((h - l) * (h + l - 2 * b))
    return a * (x - b) ** 2 - a * (l - b) ** 2


@pytest.mark.parametrize("mean", [0.35, MEAN, 0.6])
def test_the_contrast_step_is_lius_parabola(mean: float) -> None:
    image = torch.rand((3, 1, 40, 40), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.7 + 0.1
    found = bcet(image, mean)
    for one, expected in zip(found, image, strict=True):
        assert torch.allclose(one, liu(expected, mean), atol=1e-9)
        assert one.mean().item() == pytest.approx(mean)
        assert (one.min().item(), one.max().item()) == (0.0, 1.0)


def test_the_contrast_step_keeps_the_order_of_grey_values() -> None:
    dark = torch.linspace(0, 1, 100) ** 8
    stretched = bcet(dark.view(1, 1, 10, 10)).flatten()
    assert (stretched.diff() >= 0).all()
    assert dark.mean() < stretched.mean() < MEAN


def test_an_image_without_contrast_stays_finite() -> None:
    assert torch.equal(bcet(torch.full((1, 1, 4, 4), 0.3)), torch.zeros((1, 1, 4, 4)))
