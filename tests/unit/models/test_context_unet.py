"""The network of paper C: its parts do what their docstrings say, and its sizes are what the card says."""

import pytest
import torch

from models.networks.context_unet import PAPER, SMALL, ContextUnet, Size
from models.networks.conv_lstm import ConvLSTM
from models.networks.dense_block import DenseBlock
from models.networks.reach import REACH

TINY = Size(growth=(4, 4, 4, 4), layers=2, up=(6, 6, 6), hidden=3, head=4)


@pytest.mark.parametrize(("size", "parameters"), [(SMALL, 901_860), (PAPER, 6_674_068)])
def test_the_sizes_have_as_many_parameters_as_the_card_says(size: Size, parameters: int) -> None:
    assert sum(part.numel() for part in ContextUnet(2, size).parameters()) == parameters


def test_a_dense_block_passes_on_its_input_and_what_every_layer_found() -> None:
    block = DenseBlock(3, 4, 2).eval()
    image = torch.rand(1, 3, 8, 8)
    found = block(image)
    assert found.shape == (1, block.outputs, 8, 8) == (1, 11, 8, 8)
    assert torch.equal(found[:, :3], image)
    assert torch.equal(found[:, 3:7], block.layers[0](image))


def test_the_state_of_a_window_knows_its_slices_and_no_others() -> None:
    torch.manual_seed(0)
    lstm, slices = ConvLSTM(2, 3), torch.rand(1, 9, 2, 4, 4)
    found = lstm(slices, 5)
    assert found.shape == (1, 4, 3, 4, 4)
    for first in range(4):
        alone = lstm(slices[:, first : first + 6], 5)
        assert torch.allclose(found[:, first], alone[:, 0], atol=1e-6)
    changed = slices.clone()
    changed[:, 0] += 1.0
    assert not torch.allclose(lstm(changed, 5)[:, 0], found[:, 0])
    assert torch.equal(lstm(changed, 5)[:, 1:], found[:, 1:])


@pytest.mark.parametrize("batch", [1, 2])
def test_features_that_are_shared_say_the_same_as_eleven_slices_encoded_for_each(batch: int) -> None:
    torch.manual_seed(0)
    network, stack = ContextUnet(2, TINY).eval(), torch.rand(batch, 2 * REACH + 3, 16, 16)
    with torch.no_grad():
        together = network(stack)
        for first in range(3):
            alone = network(stack[:, first : first + 2 * REACH + 1])
            assert torch.allclose(together[:, first], alone[:, 0], atol=1e-5)


def test_the_answer_lies_between_both_branches_and_depends_on_the_slices_around() -> None:
    torch.manual_seed(0)
    network, stack = ContextUnet(2, TINY).eval(), torch.rand(1, 2 * REACH + 1, 16, 16)
    with torch.no_grad():
        main, context, found = network.branches(stack)
        other = stack.clone()
        other[:, 0], other[:, -1] = 0.0, 1.0
        main_again, context_again, found_again = network.branches(other)
        assert not torch.equal(context, context_again)
        low, high = torch.minimum(main, context), torch.maximum(main, context)
        assert (low - 1e-6 <= found).all() and (found <= high + 1e-6).all()
        network.attention.last.weight.zero_()
        network.attention.last.bias.fill_(50.0)  # alpha is 1: the main branch alone
        assert torch.allclose(network(stack), main)
    assert torch.equal(main, main_again)
    assert not torch.equal(found, found_again)


def test_while_it_learns_the_main_branch_answers_for_all_slices_in_front() -> None:
    network, stack = ContextUnet(2, TINY), torch.rand(2, 2 * REACH + 3, 16, 16)
    assert network(stack).shape == (2, len(stack[0]) + 3 + 3, 2, 16, 16)
    assert network(stack[:, : 2 * REACH]).shape == (2, 2 * REACH, 2, 16, 16)  # without a middle


def test_the_attention_branch_begins_as_a_copy_of_the_main_branch_and_then_learns_alone() -> None:
    torch.manual_seed(0)
    network, stack = ContextUnet(2, TINY), torch.rand(2, 2 * REACH + 1, 32, 32)
    network(stack)  # statistics of the batch, to be copied
    network.learn_attention().eval()
    with torch.no_grad():
        main, context, found = network.branches(stack)
    assert torch.allclose(main, context, atol=1e-6) and torch.allclose(main, found, atol=1e-6)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    network.train()
    network(stack)[:, len(stack[0]) :].square().mean().backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    changed = {name for name, values in network.state_dict().items() if not torch.equal(values, before[name])}
    assert changed and not {name for name in changed if name.startswith(("slices.", "main."))}
    assert any(name.startswith("context.") for name in changed)
