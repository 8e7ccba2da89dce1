"""Gathers and scatters of any layout mean the same once they are expanded: XLA runs both."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ditto_compiler.ir import ir, parse_module
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.passes.ditto_expand_gather import DittoExpandGather
from ditto_compiler.passes.ditto_expand_scatter import DittoExpandScatter
from ditto_compiler.xla import XlaFunction

Layout = dict[str, Any]

COMBINERS = {name: f"%s = stablehlo.{name} %p, %q : tensor<i32>\n" for name in ("add", "maximum", "multiply")}
COMBINERS["set"] = ""


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Where windows of an operand are, and how their dimensions and those of the index vectors are mixed."""
    operand = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    sizes = [draw(st.integers(1, extent)) for extent in operand]
    dims = list(range(len(operand)))
    mapped = draw(st.permutations(dims))[: draw(st.integers(1, len(dims)))]
    collapsed = [d for d in dims if sizes[d] == 1 and draw(st.booleans())]
    batch = draw(st.lists(st.integers(1, 4), min_size=draw(st.integers(0, 1)), max_size=2))
    rank = len(batch) + len(dims) - len(collapsed)
    offsets = sorted(draw(st.permutations(range(rank)))[: len(dims) - len(collapsed)])
    depth = draw(st.integers(0, len(batch)))
    known = [draw(st.booleans()) for _ in mapped]
    shape = [*batch[:depth], len(mapped), *batch[depth:]]
    result, windows = [0] * rank, iter(size for d, size in enumerate(sizes) if d not in collapsed)
    vectors = iter(batch)
    for d in range(rank):
        result[d] = next(windows) if d in offsets else next(vectors)
    seed = draw(st.integers(0, 2**16))
    return {
        **{"operand": operand, "sizes": sizes, "mapped": mapped, "collapsed": collapsed, "batch": batch},
        **{"offsets": offsets, "depth": depth, "known": known, "shape": shape, "result": result},
        "seed": seed,
        "by": draw(st.sampled_from(["set", "set", *COMBINERS])),
    }


def tensor(shape: list[int]) -> str:
    return f"tensor<{''.join(f'{extent}x' for extent in shape)}i32>"


def indices_of(layout: Layout, rng: np.random.Generator) -> tuple[str, np.ndarray[Any, Any]]:
    """Lines that put %i together from an argument %a and constants, and the argument."""
    shape, depth = layout["shape"], layout["depth"]
    # So that windows meet often, and a few do not fit.
    limits = [layout["operand"][d] - layout["sizes"][d] + 2 for d in layout["mapped"]]
    values = np.stack(
        [rng.integers(-1, limit, layout["batch"]).astype(np.int32) for limit in limits], axis=depth
    )
    column = [*shape[:depth], 1, *shape[depth + 1 :]]
    lines, names = [], []
    for number, known in enumerate(layout["known"]):
        name = f"%c{number}"
        names.append(name)
        if known:
            numbers = values.take([number], axis=depth).tolist()
            lines.append(f"{name} = stablehlo.constant dense<{numbers}> : {tensor(column)}")
            continue
        bounds = [f"{number}:{number + 1}" if d == depth else f"0:{n}" for d, n in enumerate(shape)]
        lines.append(
            f"{name} = stablehlo.slice %a [{', '.join(bounds)}] : ({tensor(shape)}) -> {tensor(column)}"
        )
    types = ", ".join([tensor(column)] * len(names))
    lines.append(
        f"%i = stablehlo.concatenate {', '.join(names)}, dim = {depth} : ({types}) -> {tensor(shape)}"
    )
    return "\n".join(lines), values


def same(text: str, *arguments: np.ndarray[Any, Any]) -> None:
    before, after = parse_module(text), parse_module(text)
    with after.context, ir.Location.unknown():
        PassManager((DittoExpandScatter(), DittoExpandGather())).run(after)
    assert "stablehlo.scatter" not in str(after)
    (expected,), (found,) = XlaFunction(before)(*arguments), XlaFunction(after)(*arguments)
    np.testing.assert_array_equal(found, expected, err_msg=text)


@settings(max_examples=40, deadline=None)
@given(layouts())
def test_a_gather_at_secret_places_means_the_same(layout: Layout) -> None:
    rng = np.random.default_rng(layout["seed"])
    lines, indices = indices_of(layout, rng)
    x = rng.integers(-100, 100, layout["operand"]).astype(np.int32)
    types = [tensor(layout[name]) for name in ("operand", "shape", "result")]
    text = (
        f"func.func @main(%x: {types[0]}, %a: {types[1]}) -> {types[2]} {{\n{lines}\n"
        f'%r = "stablehlo.gather"(%x, %i) <{{dimension_numbers = #stablehlo.gather<offset_dims = '
        f"{layout['offsets']}, collapsed_slice_dims = {layout['collapsed']}, start_index_map = "
        f"{layout['mapped']}, index_vector_dim = {layout['depth']}>, slice_sizes = array<i64: "
        f"{', '.join(map(str, layout['sizes']))}>}}> : ({types[0]}, {types[1]}) -> {types[2]}\n"
        f"return %r : {types[2]}\n}}"
    )
    same(text, x, indices)


@settings(max_examples=60, deadline=None)
@given(layouts())
def test_a_scatter_means_the_same(layout: Layout) -> None:
    rng = np.random.default_rng(layout["seed"])
    lines, indices = indices_of(layout, rng)
    x, updates = (
        rng.integers(-100, 100, shape).astype(np.int32) for shape in (layout["operand"], layout["result"])
    )
    body = COMBINERS[layout["by"]]
    types = [tensor(layout[name]) for name in ("operand", "shape", "result")]
    text = (
        f"func.func @main(%x: {types[0]}, %a: {types[1]}, %u: {types[2]}) -> {types[0]} {{\n{lines}\n"
        f'%r = "stablehlo.scatter"(%x, %i, %u) <{{scatter_dimension_numbers = #stablehlo.scatter<'
        f"update_window_dims = {layout['offsets']}, inserted_window_dims = {layout['collapsed']}, "
        f"scatter_dims_to_operand_dims = {layout['mapped']}, index_vector_dim = {layout['depth']}>}}> ({{\n"
        f"^bb0(%p: tensor<i32>, %q: tensor<i32>):\n{body}stablehlo.return {'%s' if body else '%q'} : "
        f"tensor<i32>\n}}) : ({', '.join(types)}) -> {types[0]}\nreturn %r : {types[0]}\n}}"
    )
    same(text, x, indices, updates)


def test_rows_are_cut_out_or_gathered() -> None:
    """Known rows, in any order: few runs are slices, and many one gather."""
    rng = np.random.default_rng(5)
    x, updates = (rng.integers(-9, 9, (40, 2)).astype(np.int32) for _ in range(2))
    for rows in (range(39, -1, -1), rng.permutation(40), rng.integers(-1, 42, 40), [3] * 40):
        numbers = ", ".join(f"[{row}]" for row in rows)
        text = (
            "func.func @main(%x: tensor<40x2xi32>, %u: tensor<40x2xi32>) -> tensor<40x2xi32> {\n"
            f"%i = stablehlo.constant dense<[{numbers}]> : tensor<40x1xi32>\n"
            '%r = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<'
            "update_window_dims = [1], inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], "
            "index_vector_dim = 1>}> ({\n^bb0(%p: tensor<i32>, %q: tensor<i32>):\n"
            "%s = stablehlo.add %p, %q : tensor<i32>\nstablehlo.return %s : tensor<i32>\n"
            "}) : (tensor<40x2xi32>, tensor<40x1xi32>, tensor<40x2xi32>) -> tensor<40x2xi32>\n"
            "return %r : tensor<40x2xi32>\n}"
        )
        same(text, x, updates)
