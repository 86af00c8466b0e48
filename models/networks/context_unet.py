"""ConvLSTM segmentation of a slice with the slices around it (Grodecki et al. 2021, Killekar et al. 2021).

The main branch sees one slice: dense blocks, here in a U so that they see far enough, and a segmentation head. The
attention branch sees `REACH` slices to either side: two convolutional LSTMs that end at the slice, a segmentation
head, and an attention head whose sigmoid is alpha. The answer is main * alpha + attention * (1 - alpha), of logits.

Every slice is encoded once, however many windows it is in.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conv_lstm import ConvLSTM
from .dense_block import DenseBlock, convolution
from .reach import REACH


@dataclass(frozen=True, slots=True)
class Size:
    """growth: of the dense blocks, from fine to coarse. layers: of each. up: channels of the decoder, from fine to
    coarse, one fewer. hidden: channels of each LSTM. head: channels of the heads."""

    growth: tuple[int, ...]
    layers: int
    up: tuple[int, ...]
    hidden: int
    head: int


PAPER = Size(growth=(32, 32, 32, 32), layers=6, up=(64, 128, 256), hidden=64, head=64)
"""Every level has the first block of a DenseNet-121, six layers of 32 channels. The paper gives no sizes."""

SMALL = Size(growth=(16, 24, 48, 96), layers=2, up=(24, 48, 64), hidden=24, head=16)
"""What two CPU cores can afford."""


class Head(nn.Module):
    """Twice a 3x3 convolution, batch normalisation and LeakyReLU, then 1x1; four outputs a pixel are a 2x2 square."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(convolution(inputs, width), convolution(width, width))
        self.last = nn.Conv2d(width, 4 * outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.last(self.layers(x)), 2)


class DenseUnet(nn.Module):
    """What one slice shows: features at half resolution (`fine`), and coarser ones at a quarter.

    The first layer folds 2x2 pixels into channels, so fine pixels cost little.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        blocks, channels = [], 4
        for growth in size.growth:
            blocks.append(DenseBlock(channels, growth, size.layers))
            channels = blocks[-1].outputs
        self.down = nn.ModuleList(blocks)
        self.shrink, self.up = nn.ModuleList(), nn.ModuleList()
        for width, skipped in zip(reversed(size.up), reversed(blocks[:-1]), strict=True):
            self.shrink.append(convolution(channels, width, 1))
            self.up.append(convolution(width + skipped.outputs, width))
            channels = width

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The coarse features, and the finest level of the encoder, of which `fine` needs both."""
        x = F.pixel_unshuffle(image, 2)
        levels = []
        for depth, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if depth else x)
            levels.append(x)
        finest, *skipped = levels[:-1]
        for number, level in enumerate(reversed(skipped)):
            x = self._up(number, x, level)
        return x, finest

    def fine(self, coarse: Tensor, finest: Tensor) -> Tensor:
        """Features at half resolution."""
        return self._up(len(self.up) - 1, coarse, finest)

    def _up(self, number: int, coarse: Tensor, level: Tensor) -> Tensor:
        finer = F.interpolate(self.shrink[number](coarse), scale_factor=2.0)
        return self.up[number](torch.cat([finer, level], 1))  # type: ignore[no-any-return]


class ContextUnet(nn.Module):
    """Stacks of slices 0-1, shape (batch, n, rows, columns), to logits (batch, n - 2 REACH, outputs, rows, columns).

    The first and the last REACH slices of a stack are only looked at; rows and columns are divisible by 16. While it
    learns it returns more: what the main branch says of all n slices, what the attention branch says of those in the
    middle, and the answer, one after the other along the slices. Of a stack too small to have a middle, only the main
    branch says something.
    """

    def __init__(self, outputs: int, size: Size) -> None:
        super().__init__()
        self.slices = DenseUnet(size)
        fine, coarse = size.up[:2]
        self.main = Head(fine, size.head, outputs)
        self.down, self.up = ConvLSTM(coarse, size.hidden), ConvLSTM(coarse, size.hidden)
        self.seen = convolution(2 * size.hidden, size.hidden, 1)
        self.context = Head(fine + size.hidden, size.head, outputs)
        self.attention = Head(fine + size.hidden, size.head, 1)
        self.only_attention = False
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="leaky_relu")

    def learn_attention(self) -> Self:
        """From now on only the attention branch learns. It begins as a copy of the main branch that does not look
        around, both weighed alike: what it learns beyond that is what the slices around tell."""
        alone, here = self.main.state_dict(), self.context.state_dict()
        for name, values in alone.items():
            if here[name].shape == values.shape:
                here[name].copy_(values)
            else:
                here[name].zero_()[:, : values.shape[1]] = values
        nn.init.zeros_(self.attention.last.weight)
        assert self.attention.last.bias is not None
        nn.init.zeros_(self.attention.last.bias)
        for part in (self.slices, self.main):
            part.requires_grad_(False)
        self.only_attention = True
        return self

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.only_attention:
            self.slices.eval()
            self.main.eval()
        return self

    def forward(self, stack: Tensor) -> Tensor:
        if stack.shape[1] <= 2 * REACH:
            fine = self.slices.fine(*self.slices(stack.flatten(0, 1)[:, None]))
            return self.main(fine).unflatten(0, stack.shape[:2])  # type: ignore[no-any-return]
        main, context, found = self.branches(stack, everywhere=self.training)
        return torch.cat([main, context, found], 1) if self.training else found

    def branches(self, stack: Tensor, everywhere: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """What the main branch and what the attention branch says alone, and the answer. everywhere: the main branch
        about all slices."""
        batch, count = stack.shape[:2]
        coarse, finest = (of.unflatten(0, (batch, count)) for of in self.slices(stack.flatten(0, 1)[:, None]))
        from_head = self.down(coarse[:, : count - REACH], REACH)
        from_feet = self.up(coarse[:, REACH:].flip(1), REACH).flip(1)
        seen = self.seen(torch.cat([from_head, from_feet], 2).flatten(0, 1))
        middle = slice(REACH, count - REACH)
        shown = slice(0, count) if everywhere else middle
        fine = self.slices.fine(coarse[:, shown].flatten(0, 1), finest[:, shown].flatten(0, 1))
        main = self.main(fine).unflatten(0, (batch, -1))
        if everywhere:
            fine = fine.unflatten(0, (batch, count))[:, middle].flatten(0, 1)
        alone = main[:, middle] if everywhere else main
        both = torch.cat([fine, F.interpolate(seen, scale_factor=2.0)], 1)
        context = self.context(both)
        found = torch.lerp(context, alone.flatten(0, 1), torch.sigmoid(self.attention(both)))
        return main, context.unflatten(0, (batch, -1)), found.unflatten(0, (batch, -1))
