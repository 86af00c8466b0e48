"""House rules that a reader may rely on, checked in the source itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[2] / "service"
MODULES = sorted(SERVICE.rglob("*.py"))

CATCHES_EVERYTHING = {
    "worker_step.py": "the worker step: one bad series, study or candidate harms no other",
    "network/receive.py": "the C-STORE handler: the sender always gets a status",
    "inference/triton_server/onnxruntime_backend.py": "stands alone in Triton; ONNX Runtime's errors have no base",
}
"""The only modules with `except Exception`, and why."""


def name_of(module: Path) -> str:
    return module.relative_to(SERVICE).as_posix()


def nodes(module: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(module.read_text(encoding="utf-8")))


def catches_everything(node: ast.AST) -> bool:
    """Whether any exception ends here. A handler that cleans up and ends with `raise` lets all of them through."""
    if isinstance(node, ast.ExceptHandler):
        if isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None:
            return False
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "suppress":
        kinds = list(node.args)
    else:
        return False
    return any(kind is None or getattr(kind, "id", "") in ("Exception", "BaseException") for kind in kinds)


def test_every_exception_is_caught_in_the_worker_step_and_the_c_store_handler_alone() -> None:
    found = [name_of(module) for module in MODULES for node in nodes(module) if catches_everything(node)]
    assert sorted(found) == sorted(CATCHES_EVERYTHING)


@pytest.mark.parametrize("handler", ["except Exception:", "except (OSError, Exception) as error:", "except:"])
def test_the_check_sees_a_handler_that_catches_everything(handler: str) -> None:
    tree = ast.parse(f"try:\n    pass\n{handler}\n    pass\n")
    assert any(catches_everything(node) for node in ast.walk(tree))


def test_dbos_is_known_to_the_durable_engine_alone() -> None:
    importing = {
        name_of(module)
        for module in MODULES
        for node in nodes(module)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dbos")
        or (isinstance(node, ast.Import) and any(one.name.split(".")[0] == "dbos" for one in node.names))
    }
    assert {str(Path(name).parent) for name in importing} == {"store/durable_engine"}


def test_private_names_of_dbos_are_used_in_one_module() -> None:
    def is_private(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "DBOS" and node.attr[0] == "_"

    using = {name_of(module) for module in MODULES for node in nodes(module) if is_private(node)}
    assert using == {"store/durable_engine/dbos_internals.py"}


MOST_PARAMETERS = 7

TAKES_MORE = {
    "cli/evaluate.py:evaluate": "each parameter is an option of the command line",
    "evidence/report/page.py:text": "one drawing primitive with the options of a text",
    "evidence/result.py:result_document": "each parameter is a part of the document",
}
"""Functions that may take more parameters, and why."""


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """All but the first of a method. A constructor counts as much as any other function."""
    arguments = function.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def test_no_function_takes_more_than_seven_parameters() -> None:
    found = {
        f"{name_of(module)}:{node.name}"
        for module in MODULES
        for node in nodes(module)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and len(parameters(node)) > MOST_PARAMETERS
    }
    assert found <= TAKES_MORE.keys(), "group what belongs together into a small dataclass, or split the function"
