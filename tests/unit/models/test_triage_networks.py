"""The networks of paper B: their parts do what their docstrings say, and their sizes are what the cards say."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from models.networks import resnet50_3d, unet3d_plus_plus
from models.networks.fold import folded, unfolded
from models.networks.resnet50_3d import Resnet50in3d, class_activation, halved
from models.networks.unet3d_plus_plus import Unet3dPlusPlus
from models.triage_infection.network import Served, seen
from models.triage_infection.released import MODEL
from models.triage_infection.spec import CLASSES, REGION

TINY = unet3d_plus_plus.Size(channels=(4, 5, 6, 7), fold=(1, 2, 2))
NARROW = resnet50_3d.Size(width=4, strides=(1, 2, 2, 1))


def count(network: torch.nn.Module) -> int:
    return sum(part.numel() for part in network.parameters())


@pytest.mark.parametrize(
    ("size", "parameters"), [(unet3d_plus_plus.SMALL, 900_960), (unet3d_plus_plus.PAPER, 26_202_020)]
)
def test_the_unet_has_as_many_parameters_as_the_card_says(size: unet3d_plus_plus.Size, parameters: int) -> None:
    assert count(Unet3dPlusPlus(size)) == parameters


def test_the_small_unet_costs_what_two_cores_can_afford() -> None:
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        Unet3dPlusPlus(unet3d_plus_plus.SMALL).eval()(torch.rand(1, 1, 16, 32, 32))
    assert counted.get_total_flops() / (16 * 32 * 32) == pytest.approx(37_400, rel=0.01)


def test_the_resnet_has_the_published_parameters_but_for_its_first_and_its_last_layer() -> None:
    published = 46_198_976  # three channels of input, without a last layer
    expected = published - 64 * 7**3 + len(CLASSES) * (2048 + 1)
    assert count(Resnet50in3d(len(CLASSES), resnet50_3d.PAPER)) == expected == 46_183_171
    assert count(Resnet50in3d(len(CLASSES), resnet50_3d.SMALL)) == 1_639_347


def test_folding_and_unfolding_are_inverse_and_keep_neighbours_together() -> None:
    volume = torch.arange(2 * 3 * 4 * 4 * 6.0).reshape(2, 3, 4, 4, 6)
    parts = folded(volume, (1, 2, 2))
    assert parts.shape == (2, 12, 4, 2, 3)
    assert torch.equal(unfolded(parts, (1, 2, 2)), volume)
    assert parts[0, :4, 0, 0, 0].tolist() == volume[0, 0, 0, :2, :2].flatten().tolist()


def test_halving_is_the_pooling_of_the_published_network() -> None:
    x = torch.randn(2, 3, 4, 6, 8)
    assert torch.equal(halved(x), F.max_pool3d(x, 3, 2, 1))


def test_every_head_learns_and_the_last_answers() -> None:
    torch.manual_seed(0)
    network, patch = Unet3dPlusPlus(TINY), torch.rand(2, 1, 16, 32, 16)
    heads = network(patch)
    assert heads.shape == (2, 3, 16, 32, 16)
    heads.sum().backward()
    assert all(head.weight.grad.abs().sum() > 0 for head in network.heads)
    network.eval()
    answer = network(patch)
    assert answer.shape == patch.shape
    with torch.no_grad():
        network.train()
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm3d):
                part.eval()
        assert torch.equal(network(patch)[:, -1:], answer)


def test_the_last_head_sees_every_node_of_its_row_and_below() -> None:
    torch.manual_seed(0)
    network, patch = Unet3dPlusPlus(TINY).eval(), torch.rand(1, 1, 16, 16, 16)
    before = network(patch)
    for name, block in network.nested.items():
        changed = block[0].weight.data.clone()
        block[0].weight.data.zero_()
        assert not torch.equal(network(patch), before), name
        block[0].weight.data.copy_(changed)


@pytest.fixture
def network() -> Resnet50in3d:
    torch.manual_seed(1)
    return Resnet50in3d(len(CLASSES), NARROW).eval()


def region(row: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright lesion in clear lung, and its mask."""
    hu = torch.full((1, *REGION), -850, dtype=torch.int16)
    mask = torch.zeros((1, *REGION), dtype=torch.uint8)
    where = (slice(None), slice(20, 28), slice(row - 8, row + 8), slice(40, 56))
    hu[where], mask[where] = 0, 1
    return hu, mask


@pytest.mark.parametrize("label", range(3))
def test_the_class_activation_map_is_grad_cam_by_its_gradient(network: Resnet50in3d, label: int) -> None:
    features = network.features(seen(*region())).detach().requires_grad_()
    network.head(features)[0, label].backward()
    weights = features.grad.mean((2, 3, 4), keepdim=True)
    expected = F.interpolate(torch.relu((weights * features).sum(1, keepdim=True)), REGION, mode="trilinear")
    expected = (expected / expected.max().clamp_min(1e-12))[:, 0].detach()
    found = class_activation(features.detach(), network.last.weight[label : label + 1].detach(), REGION)
    assert (found - expected).abs().max() < 1e-4


def test_the_heat_map_moves_with_the_lesion_and_depends_on_the_last_weights(network: Resnet50in3d) -> None:
    def hottest(served: Served, row: int) -> tuple[int, torch.Tensor]:
        with torch.no_grad():
            probabilities, heat, as_bytes = served(*region(row))
        assert as_bytes.dtype == torch.uint8 and as_bytes.max() == 255 and heat.shape == (1, *REGION)
        assert probabilities.sum().item() == pytest.approx(1.0)
        return int(heat[0].amax((0, 2)).argmax()), as_bytes

    # A class that what the lesion changes speaks for, as training would make it.
    with torch.no_grad():
        there, nothing = (
            network.features(seen(*region())),
            network.features(seen(region()[0] * 0 - 850, region()[1] * 0)),
        )
        network.last.weight[0] = (there - nothing).mean((0, 2, 3, 4))
        network.last.weight[1:] = -network.last.weight[0]
        network.last.bias.zero_()
    front, before = hottest(Served(network, 1.0), 20)
    back, _ = hottest(Served(network, 1.0), 76)
    cell = 16  # rows of a position of the last feature maps
    assert abs(front - 20) <= cell and abs(back - 76) <= cell
    with torch.no_grad():
        network.last.weight[:] = network.last.weight[:, torch.randperm(network.last.in_features)]
    _, shuffled = hottest(Served(network, 1.0), 20)
    assert (shuffled.int() - before.int()).abs().float().mean() > 5.0


def test_the_released_heat_map_moves_with_the_lesion_and_is_another_one_with_shuffled_weights() -> None:
    released = onnx.load(MODEL)
    shuffled = onnx.ModelProto()
    shuffled.CopyFrom(released)
    order = np.random.default_rng(1).permutation(384)
    classes = [one for one in shuffled.graph.initializer if list(one.dims) == [3, len(order)]]
    assert classes, "the weights of the last layer"
    for one in classes:
        one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one)[:, order], one.name))

    def heat(model: onnx.ModelProto, row: int) -> np.ndarray:
        hu, mask = (part.numpy() for part in region(row))
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (found,) = session.run(["heat_map"], {"hu": hu.astype(np.int16), "mask": mask.astype(np.uint8)})
        return np.asarray(found[0], float)

    front, back, other = heat(released, 20), heat(released, 76), heat(shuffled, 20)
    assert abs(int(back.sum((0, 2)).argmax()) - int(front.sum((0, 2)).argmax())) > 20, "it need not lie on the lesion"
    assert np.corrcoef(front.ravel(), other.ravel())[0, 1] < 0.9 and np.abs(front - other).mean() > 5.0


def test_the_temperature_makes_probabilities_less_sure_and_changes_no_class(network: Resnet50in3d) -> None:
    with torch.no_grad():
        network.last.weight *= 5.0
        sharp, *_ = Served(network, 1.0)(*region())
        soft, *_ = Served(network, 3.0)(*region())
    assert soft.max() < sharp.max() and soft.argmax() == sharp.argmax()
    assert torch.allclose(
        soft.log() * 3.0 - sharp.log(), (soft.log() * 3.0 - sharp.log())[:, :1].expand_as(sharp), atol=1e-4
    )
