"""A torch network to an ONNX graph that says nothing of the machine it was made on."""

import logging

import onnx
import torch
from torch import nn

from converters.onnx_graph import forget_the_exporter

OPSET = 18


def export(network: nn.Module, example: torch.Tensor, taken: str, given: list[str], max_batch: int) -> onnx.ModelProto:
    """The graph of a network in its evaluation state. example: a batch of 2; taken, given: names of the tensors.

    The batch axis, the first, is free up to `max_batch` (at least 2).
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision, which nobody needs, is absent
    program = torch.onnx.export(
        network,
        (example,),
        input_names=[taken],
        output_names=given,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=max_batch)},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    model = program.model_proto
    forget_the_exporter(model)
    return model
