"""A training run: all that changes while it learns, kept on disk so that a stopped run can go on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .config import OneCycle, Training

Batch = tuple[Tensor, ...]
"""What the network eats, then what its loss compares with."""

Loss = Callable[..., Tensor]
"""Called with the network's float32 output and the rest of the batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """network: what learns. average: the running mean of its weights, which is the result."""

    network: nn.Module
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    schedule: OneCycleLR | ReduceLROnPlateau
    config: Training
    steps: int
    device: torch.device
    out: Path

    @classmethod
    def start(
        cls, build: Callable[[], nn.Module], config: Training, steps: int, out: Path, device: torch.device
    ) -> Self:
        """A new run, its first weights drawn with the configuration's seed."""
        torch.manual_seed(config.seed)
        network = build().to(device)
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.average), use_buffers=True)
        optimiser = torch.optim.AdamW(network.parameters(), config.rate, weight_decay=config.weight_decay)
        plan = config.schedule
        schedule: OneCycleLR | ReduceLROnPlateau
        if isinstance(plan, OneCycle):
            schedule = OneCycleLR(optimiser, config.rate, total_steps=steps, pct_start=plan.warm_up)
        else:
            schedule = ReduceLROnPlateau(optimiser, factor=plan.factor, patience=plan.patience)
        return cls(network, average, optimiser, schedule, config, steps, device, out)

    @property
    def checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    @property
    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("network", "average", "optimiser", "schedule")}

    @property
    def _identity(self) -> dict[str, Any]:
        return {"steps": self.steps} | self.config.model_dump(mode="json")

    def save(self, step: int) -> None:
        """Keep the run as it is after `step` steps; a kill leaves the checkpoint before or this one."""
        states = {name: part.state_dict() for name, part in self._parts.items()}
        part = self.checkpoint.with_suffix(".part")
        torch.save(states | {"step": step, "identity": self._identity}, part)
        part.replace(self.checkpoint)

    def restore(self) -> int:
        """Steps already done, 0 for a new run; SystemExit if the checkpoint is another configuration's."""
        if not self.checkpoint.exists():
            return 0
        saved = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        mine, its = self._identity, saved.get("identity", {})
        other = [f"{key} is {its.get(key)}, not {mine[key]}" for key in mine if its.get(key) != mine[key]]
        if other:
            raise SystemExit(f"{self.checkpoint} belongs to another run ({'; '.join(other)}); use another --out")
        for name, part in self._parts.items():
            part.load_state_dict(saved[name])
        return int(saved["step"])

    def learn(self, batch: Batch, loss: Loss) -> float:
        """One step; returns its loss."""
        self.network.train()
        inputs, *rest = (tensor.to(self.device) for tensor in batch)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.bf16):
            outputs = self.network(inputs)
        value = loss(outputs.float(), *rest)
        self.optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self.optimiser.step()
        if isinstance(self.schedule, OneCycleLR):
            self.schedule.step()
        self.average.update_parameters(self.network)
        return float(value.item())

    def measured(self, measures: Mapping[str, float]) -> None:
        """Tell the schedule how good the network is on cases that it does not learn."""
        if not isinstance(self.config.schedule, OneCycle):
            self.schedule.step(measures[self.config.schedule.watch])

    def finish(self) -> Path:
        """Write the result, `weights.pt`, for any device."""
        path = self.out / "weights.pt"
        torch.save({name: tensor.cpu() for name, tensor in self.average.module.state_dict().items()}, path)
        return path
