"""The convolutional LSTM (Shi et al. 2015), over the slices before and after each slice."""

import torch
from torch import Tensor, nn


class ConvLSTM(nn.Module):
    """From the first slice of each window to its last; the window slides over slices that are encoded once.

    What the input adds to the gates is computed once per slice; only the recurrence is repeated for every window.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.of_input = nn.Conv2d(inputs, 4 * hidden, 3, padding=1)
        self.of_state = nn.Conv2d(hidden, 4 * hidden, 3, padding=1, bias=False)
        with torch.no_grad():
            assert self.of_input.bias is not None
            self.of_input.bias.zero_()
            self.of_input.bias[hidden : 2 * hidden] = 1.0  # remember, to begin with

    def forward(self, slices: Tensor, steps: int) -> Tensor:
        """slices: (batch, n, inputs, h, w). Returns (batch, n - steps, hidden, h, w): the state after each window of
        `steps` + 1 slices, the first window starting at the first slice."""
        batch, count = slices.shape[:2]
        windows = count - steps
        gates = self.of_input(slices.flatten(0, 1)).unflatten(0, (batch, count))
        state = cell = gates.new_zeros(())
        for step in range(steps + 1):
            given = gates[:, step : step + windows].flatten(0, 1)
            if step:
                given = given + self.of_state(state)
            taken, kept, shown, fresh = given.chunk(4, 1)
            cell = torch.sigmoid(taken) * torch.tanh(fresh) + (torch.sigmoid(kept) * cell if step else 0.0)
            state = torch.sigmoid(shown) * torch.tanh(cell)
        return state.unflatten(0, (batch, windows))
