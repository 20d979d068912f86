"""Kernels need no SciPy, which is not shipped. numba needs it for products of matrices, and for all of numpy.linalg."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "threer_blender"
DECORATORS = {"compiled", "njit"}
PRODUCTS = {"dot", "vdot", "linalg"}


def kernels() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every kernel of the package, by its file and name."""
    for path in sorted((PACKAGE / "geometry").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and decorators(node) & DECORATORS:
                yield f"{path.relative_to(PACKAGE)}:{node.name}", node


def decorators(function: ast.FunctionDef) -> set[str]:
    calls = [each.func if isinstance(each, ast.Call) else each for each in function.decorator_list]
    return {ast.unparse(call).rpartition(".")[2] for call in calls}


def products(function: ast.AST) -> list[str]:
    """The expressions of a function that numba would hand to BLAS or LAPACK."""
    return [
        ast.unparse(node)
        for node in ast.walk(function)
        if (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult))
        or (isinstance(node, ast.Attribute) and node.attr in PRODUCTS)
    ]


KERNELS = list(kernels())


@pytest.mark.parametrize("kernel", [kernel for _, kernel in KERNELS], ids=[name for name, _ in KERNELS])
def test_kernels_multiply_no_matrices(kernel: ast.FunctionDef) -> None:
    assert products(kernel) == []


def test_what_needs_scipy_is_noticed() -> None:
    text = "def kernel(a, b):\n    a @= b\n    return np.linalg.inv(a @ b) + a.dot(b)"
    assert len(products(ast.parse(text))) == 4
    assert len(KERNELS) > 30
