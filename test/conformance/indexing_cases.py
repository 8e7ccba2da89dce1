"""Gathers and slices at secret places, and scatters by StableHLO's definition.

Where StableHLO leaves the order of updates open, they come one after the other, as XLA has it on CPUs. A
window that does not fit is left out as a whole, as XLA and JAX have it; StableHLO leaves out parts of it.
"""

import dataclasses

import numpy as np
from case_builders import BOOL, BOTH, F32, I32, INTS, SIGNED, Case, array, case, code, is_float, wrap
from movement_cases import dynamic_slices, gathers, wide

COMBINERS = {
    "set": (None, lambda old, new: new),
    "add": ("add", lambda old, new: old + new),
    "multiply": ("multiply", lambda old, new: old * new),
    "maximum": ("maximum", max),
    "minimum": ("minimum", min),
    "and": ("and", lambda old, new: old & new),
    "or": ("or", lambda old, new: old | new),
}


def at_secret_places(cases):
    """Cases with public indices, whose indices are secret now."""
    for known in cases:
        moved = known.expected[0]
        yield dataclasses.replace(
            known, name=f"{known.name}_at_secret", public=(), exact=not is_float(moved.dtype)
        )


def scattered(
    x, indices, updates, function, window, inserted, index_map, vector_dim, batching, index_batching
):
    """`scatter` by its definition, but for windows that do not fit."""
    if vector_dim == indices.ndim:
        indices = indices[..., None]
    result = x.copy()
    batch_shape = [n for d, n in enumerate(indices.shape) if d != vector_dim]
    kept = [d for d in range(x.ndim) if d not in (*inserted, *batching)]
    sizes = [1] * x.ndim
    for d, of_update in zip(kept, window, strict=True):
        sizes[d] = updates.shape[of_update]
    for batch in np.ndindex(*batch_shape):
        vector = indices[(*batch[:vector_dim], slice(None), *batch[vector_dim:])]
        start = [0] * x.ndim
        for value, d in zip(vector, index_map, strict=True):
            start[d] = int(value)
        for d, of_indices in zip(batching, index_batching, strict=True):
            start[d] = batch[of_indices - (of_indices > vector_dim)]
        if any(s < 0 or s + n > extent for s, n, extent in zip(start, sizes, x.shape, strict=True)):
            continue
        for offset in np.ndindex(*sizes):
            place = tuple(s + o for s, o in zip(start, offset, strict=True))
            of_window = iter(offset[d] for d in kept)
            vectors = iter(batch)
            source = tuple(next(of_window if d in window else vectors) for d in range(updates.ndim))
            old, new = result[place].item(), updates[source].item()
            value = function(old, new)
            result[place] = value if x.dtype == BOOL or is_float(x.dtype) else wrap(value, x.dtype)
    return result


def scatter(
    name,
    by,
    x,
    indices,
    updates,
    window,
    inserted,
    index_map,
    vector_dim,
    *batches,
    public=(),
    references=BOTH,
):
    body, function = COMBINERS[by]
    lists = {
        "update_window_dims": window,
        "inserted_window_dims": inserted,
        "input_batching_dims": batches[0] if batches else (),
        "scatter_indices_batching_dims": batches[1] if batches else (),
        "scatter_dims_to_operand_dims": index_map,
    }
    numbers = ", ".join(f"{key} = {list(value)}" for key, value in lists.items() if value)
    scalar = f"tensor<{code(x.dtype)}>"
    combined = f"%s = stablehlo.{body} %p, %q : {scalar}\n" if body else ""
    text = (
        f'%r = "stablehlo.scatter"(%a, %b, %c) <{{scatter_dimension_numbers = #stablehlo.scatter<{numbers}, '
        f"index_vector_dim = {vector_dim}>, indices_are_sorted = false, unique_indices = false}}> ({{\n"
        f"^bb0(%p: {scalar}, %q: {scalar}):\n{combined}stablehlo.return {'%s' if body else '%q'} : {scalar}\n"
        f"}}) : ($a, $b, $c) -> $r"
    )
    layout = (window, inserted, index_map, vector_dim, *(batches or ((), ())))
    return case(
        f"scatter_{name}_{by}",
        "stablehlo.scatter",
        text,
        (x, indices, updates),
        scattered(x, indices, updates, function, *layout),
        exact=not is_float(x.dtype),
        public=public,
        references=references,
    )


def scatters():
    places = array([[2], [0], [2], [5], [-1], [2]], I32)
    for dtype in (BOOL, *INTS, F32):
        x, updates = wide(dtype, 5, seed=1), wide(dtype, 6, seed=2)
        for by in COMBINERS:
            if (by in ("and", "or") and is_float(dtype)) or (by in ("add", "multiply") and dtype == BOOL):
                continue
            if is_float(dtype):
                x, updates = x % 4, updates % 4
            yield scatter(code(dtype), by, x, places, updates, (), (0,), (0,), 1)
    x, rows = wide(I32, 4, 3, seed=3), wide(I32, 3, 3, seed=4)
    at = array([3, 1, 3], I32)
    for by in ("set", "add", "maximum"):
        for label, public in (("", ()), ("_public", (1,))):
            yield scatter(f"i32_rows{label}", by, x, at, rows, (1,), (0,), (0,), 1, public=public)
            yield scatter(
                f"i32_columns{label}",
                by,
                x,
                at[:2] - 1,
                rows[:2].T[[0, 1, 2, 0]],
                (0,),
                (1,),
                (1,),
                1,
                public=public,
            )
        pairs = array([[0, 2], [3, 3], [0, 2], [-1, 1], [2, 0]], I32)
        yield scatter("i32_elements", by, x, pairs, wide(I32, 5, seed=5), (), (0, 1), (0, 1), 1)
        yield scatter("i32_swapped", by, x, pairs, wide(I32, 5, seed=5), (), (0, 1), (1, 0), 1)
        yield scatter("i32_vectors_first", by, x, pairs.T, wide(I32, 5, seed=5), (), (0, 1), (0, 1), 0)
        windows = wide(I32, 3, 2, 2, seed=6)
        corners = array([[0, 1], [2, 0], [1, 1]], I32)
        yield scatter("i32_windows", by, x, corners, windows, (1, 2), (), (0, 1), 1)
        yield scatter("i32_windows_first", by, x, corners, np.moveaxis(windows, 0, 2), (0, 1), (), (0, 1), 1)
        outside = array([[0, 2], [3, 0], [-1, 1]], I32)
        yield scatter(
            "i32_windows_outside", by, x, outside, windows, (1, 2), (), (0, 1), 1, references=("xla",)
        )
        narrow = wide(I32, 3, 2, seed=7)
        yield scatter("i32_part_of_rows", by, x, at, narrow, (1,), (0,), (0,), 1)
        yield scatter("i32_scalar", by, x, array(2, I32), rows[0], (0,), (0,), (0,), 0)
        yield scatter("i32_nothing", by, x, np.zeros((0, 1), I32), np.zeros((0, 3), I32), (1,), (0,), (0,), 1)
        cube = wide(I32, 2, 4, 3, seed=8)
        batched = array([[3, 0, 3], [1, 9, 0]], I32)[..., None]
        yield scatter(
            "i32_batched", by, cube, batched, wide(I32, 2, 3, 3, seed=9), (2,), (1,), (1,), 2, (0,), (0,)
        )
    for index_type in SIGNED:
        ends = np.iinfo(index_type)
        far = array([[1], [ends.max], [ends.min], [3]], index_type)
        yield scatter(f"by_{code(index_type)}", "add", x[:, 0], far, wide(I32, 4, seed=5), (), (0,), (0,), 1)
    long = wide(I32, 90, seed=10)
    many = array([[89], [0], [64], [89], [90], [-1]], I32)
    yield scatter("i32_many_places", "set", long, many, wide(I32, 6, seed=11), (), (0,), (0,), 1)
    for mixed in ("set", "add", "minimum"):
        yield known_rows(mixed)


def known_rows(by) -> Case:
    """The place along dimension 0 is a constant, that along dimension 1 is not."""
    x, columns, updates = wide(I32, 3, 4, seed=12), array([[3], [0], [7]], I32), wide(I32, 3, seed=13)
    made = scatter(
        "i32_known_rows", by, x, np.concatenate([array([[0], [1], [2]], I32), columns], 1), updates,
        (), (0, 1), (0, 1), 1,
    )  # fmt: skip
    text = made.text.replace("tensor<3x2xi32>", "tensor<3x1xi32>", 1).replace(
        "%r =",
        "%i = stablehlo.iota dim = 0 : tensor<3x1xi32>\n%j = stablehlo.concatenate %i, %b, dim = 1 : "
        "(tensor<3x1xi32>, tensor<3x1xi32>) -> tensor<3x2xi32>\n%r =",
        1,
    )
    text = text.replace("(%a, %b, %c)", "(%a, %j, %c)")
    return dataclasses.replace(made, text=text, arguments=(x, columns, updates))


INDEXING_CASES = (*at_secret_places(dynamic_slices()), *at_secret_places(gathers()), *scatters())
