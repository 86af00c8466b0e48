"""What an exported graph still needs before it is a file. No torch here: `models.export --check` has none."""

import onnx


def forget_the_exporter(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: stack traces with paths of the machine that exported."""
    for noted in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del noted.metadata_props[:]
        noted.ClearField("doc_string")


def without_output(model: onnx.ModelProto, name: str) -> bytes:
    """The file of the graph with one output less."""
    kept = [output for output in model.graph.output if output.name != name]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
