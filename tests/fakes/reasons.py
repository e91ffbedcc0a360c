"""Read from the source which reason phrases snapproxy prints, and with which status."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "snapproxy"

#: Calls with a status and a reason, as first arguments or by name. `unavailable` says 424 for a root or an index.
_REFUSALS = {"Refusal", "refuse", "unavailable"}
#: Calls with a reason only: errors of a client, which have the status 400.
_CLIENT_ERRORS = {"ClientError", "_malformed"}
#: Reasons that reach their Refusal through a return value, by file and function ("" for the whole file).
_RETURNED = {("core/resolve.py", "_objection"): 410, ("core/signatures.py", ""): 424}


def statuses_by_reason() -> Mapping[str, set[int]]:
    """Return every reason, or its beginning if details follow, with the statuses of the answers that have it."""
    found: dict[str, set[int]] = defaultdict(set)
    for file in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for reason, status in _refusals(tree, _constants(tree)):
            found[reason].add(status)
        for (name, function), status in _RETURNED.items():
            if name == file.relative_to(SOURCE).as_posix():
                for reason in _returned(tree, function, _constants(tree)):
                    found[reason].add(status)
    return found


def _refusals(tree: ast.Module, constants: Mapping[str, ast.expr]) -> Iterator[tuple[str, int]]:
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        if name in _CLIENT_ERRORS:
            yield from ((reason, 400) for node in call.args[:1] for reason in _texts(node, constants))
        elif name in _REFUSALS:
            arguments = dict(zip(("status", "reason"), call.args, strict=False)) | named
            if "status" not in arguments or "reason" not in arguments:
                continue
            statuses = _numbers(arguments["status"], constants) | ({424} if name == "unavailable" else set())
            yield from ((text, status) for text in _texts(arguments["reason"], constants) for status in statuses)


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the values that the module gives to a single name at its top level."""
    assigned = (node for node in tree.body if isinstance(node, ast.Assign))
    return {
        target.id: node.value
        for node in assigned
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant)
    }


def _returned(tree: ast.Module, function: str, constants: Mapping[str, ast.expr]) -> Iterator[str]:
    """Return the reasons in a function, or in all of the module: first in a tuple, or an argument named `reason`."""
    roots = [node for node in tree.body if not function or getattr(node, "name", "") == function]
    assert roots, f"{function} does not exist any more: adapt _RETURNED"
    for node in (node for root in roots for node in ast.walk(root)):
        if isinstance(node, ast.Tuple) and node.elts:
            yield from _texts(node.elts[0], constants)
        elif isinstance(node, ast.Call):
            values = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            yield from (text for value in values for text in _texts(value, constants))


def _choices(node: ast.expr, constants: Mapping[str, ast.expr]) -> Iterator[ast.expr]:
    """Return the possible values of an expression: both branches of a condition, the value of a constant."""
    if isinstance(node, ast.IfExp):
        yield from _choices(node.body, constants)
        yield from _choices(node.orelse, constants)
    elif isinstance(node, ast.Name) and node.id in constants:
        yield constants[node.id]
    elif isinstance(node, ast.JoinedStr) and node.values:
        yield node.values[0]
    else:
        yield node


def _texts(node: ast.expr, constants: Mapping[str, ast.expr]) -> list[str]:
    found = [each.value for each in _choices(node, constants) if isinstance(each, ast.Constant)]
    return [text for text in found if isinstance(text, str) and text]


def _numbers(node: ast.expr, constants: Mapping[str, ast.expr]) -> set[int]:
    found = [each.value for each in _choices(node, constants) if isinstance(each, ast.Constant)]
    return {number for number in found if isinstance(number, int)}
