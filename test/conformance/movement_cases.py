"""Ops that move elements: no arithmetic, so every type must come through unchanged, range ends included."""

import itertools

import numpy as np
from case_builders import (
    ALL,
    BOTH,
    F32,
    F64,
    I32,
    I64,
    INTS,
    UNSIGNED,
    array,
    case,
    code,
    i64s,
    literal,
    one_op,
    wide,
)


def constants():
    for dtype in ALL:
        value = wide(dtype, 2, 3, seed=7)
        yield one_op(
            f"constant_{code(dtype)}",
            "stablehlo.constant",
            (),
            value,
            f"value = {literal(value)}",
            exact=True,
        )
    for name, value in {
        "f32_scalar": array(-2.625, F32),
        "i64_scalar": array(np.iinfo(I64).min, I64),
        "i1_scalar": np.array(True),
        "f32_empty": np.zeros((0, 3), F32),
        "f64_nested": np.arange(12).reshape(2, 1, 3, 2).astype(F64) / 4,
    }.items():
        yield one_op(
            f"constant_{name}", "stablehlo.constant", (), value, f"value = {literal(value)}", exact=True
        )
    yield one_op(
        "constant_f32_splat",
        "stablehlo.constant",
        (),
        np.full((2, 4), 1.5, F32),
        "value = dense<1.5> : tensor<2x4xf32>",
        exact=True,
    )
    raw = array([1, -1, 258, 2**31 - 1], I32)
    yield one_op(
        "constant_i32_from_bytes",
        "stablehlo.constant",
        (),
        raw,
        f'value = dense<"0x{raw.tobytes().hex()}"> : tensor<4xi32>',
    )
    yield case(
        "constant_used_twice",
        "stablehlo.constant",
        '%c = "stablehlo.constant"() <{value = dense<[3, -4]> : tensor<2xi32>}> : () -> $a\n'
        "%d = stablehlo.add %a, %c : $a\n%r = stablehlo.multiply %d, %c : $a",
        (array([10, 20], I32),),
        array([39, -64], I32),
    )


def iotas():
    for dtype in ALL[1:]:
        yield one_op(
            f"iota_{code(dtype)}",
            "stablehlo.iota",
            (),
            np.arange(5).astype(dtype),
            "iota_dimension = 0 : i64",
            exact=True,
        )
    for dimension in range(3):
        shape = (2, 3, 4)
        counts = np.arange(shape[dimension]).reshape([-1 if d == dimension else 1 for d in range(3)])
        yield one_op(
            f"iota_i32_along_{dimension}_of_3",
            "stablehlo.iota",
            (),
            np.broadcast_to(counts, shape).astype(I32),
            f"iota_dimension = {dimension} : i64",
        )
    yield one_op(
        "iota_f32_of_one", "stablehlo.iota", (), np.zeros((1,), F32), "iota_dimension = 0 : i64", exact=True
    )
    yield one_op("iota_i32_none", "stablehlo.iota", (), np.zeros(0, I32), "iota_dimension = 0 : i64")
    yield one_op("iota_i32_empty", "stablehlo.iota", (), np.zeros((3, 0), I32), "iota_dimension = 0 : i64")


def broadcasts():
    for dtype in ALL:
        x = wide(dtype, 3, seed=1)
        yield one_op(
            f"broadcast_in_dim_{code(dtype)}",
            "stablehlo.broadcast_in_dim",
            (x,),
            np.repeat(x, 2).reshape(3, 2),
            f"broadcast_dimensions = {i64s(0)}",
            exact=True,
        )
    for name, shape, dims, target in (
        ("scalar", (), (), (2, 3)),
        ("scalar_to_scalar", (), (), ()),
        ("to_last", (3,), (1,), (3, 3)),
        ("to_first", (3,), (0,), (3, 3)),
        ("expands_one", (1, 3), (0, 1), (2, 3)),
        ("expands_every_one", (1, 1), (0, 2), (4, 2, 3)),
        ("transposes", (2, 3), (1, 0), (3, 2)),
        ("transposes_and_expands", (2, 1), (2, 0), (3, 4, 2)),
        ("same_shape", (2, 3), (0, 1), (2, 3)),
        ("to_empty", (1,), (1,), (0, 3)),
        ("of_empty", (0,), (0,), (0, 2)),
    ):
        x = wide(I32, *shape, seed=2)
        # Operand dimension i becomes dims[i]: put them in the order of the target, then let numpy stretch.
        placed = np.transpose(x, np.argsort(dims)).reshape(
            [x.shape[dims.index(d)] if d in dims else 1 for d in range(len(target))]
        )
        yield one_op(
            f"broadcast_in_dim_i32_{name}",
            "stablehlo.broadcast_in_dim",
            (x,),
            np.broadcast_to(placed, target).copy(),
            f"broadcast_dimensions = {i64s(*dims)}",
        )


def concatenations():
    for dtype in ALL:
        x, y = wide(dtype, 2, 3, seed=1), wide(dtype, 2, 1, seed=2)
        yield one_op(
            f"concatenate_{code(dtype)}",
            "stablehlo.concatenate",
            (x, y),
            np.concatenate([x, y], 1),
            "dimension = 1 : i64",
            exact=True,
        )
    for name, shapes, axis in (
        ("one_operand", [(2, 3)], 0),
        ("three_operands", [(1, 2), (3, 2), (2, 2)], 0),
        ("empty_operand", [(2, 0), (2, 3)], 1),
        ("only_empty_operands", [(0,), (0,)], 0),
        ("middle_axis", [(2, 1, 2), (2, 2, 2)], 1),
    ):
        parts = [wide(I32, *shape, seed=seed) for seed, shape in enumerate(shapes)]
        yield one_op(
            f"concatenate_i32_{name}",
            "stablehlo.concatenate",
            parts,
            np.concatenate(parts, axis),
            f"dimension = {axis} : i64",
        )
    x = wide(I32, 2, 2, seed=5)
    yield case(
        "concatenate_i32_with_itself",
        "stablehlo.concatenate",
        '%r = "stablehlo.concatenate"(%a, %a) <{dimension = 0 : i64}> : ($a, $a) -> $r',
        (x,),
        np.concatenate([x, x]),
    )


def barriers():
    for dtype in ALL:
        x = wide(dtype, 4, seed=1)
        yield one_op(
            f"optimization_barrier_{code(dtype)}", "stablehlo.optimization_barrier", (x,), x, exact=True
        )
    several = (wide(I32, 3), np.array([True, False]), wide(F32, 2, 2), array(5, I64))
    yield one_op(
        "optimization_barrier_of_several", "stablehlo.optimization_barrier", several, several, exact=True
    )


def padded(x, value, low, high, interior):
    """`pad` by its definition: every operand element goes to one place, unless that is outside."""
    pads = list(zip(low, high, interior, strict=True))
    shape = [n + p + q + i * max(n - 1, 0) for n, (p, q, i) in zip(x.shape, pads, strict=True)]
    result = np.full(shape, value, x.dtype)
    for index in np.ndindex(*x.shape):
        place = tuple(p + at * (i + 1) for at, (p, _, i) in zip(index, pads, strict=True))
        if all(0 <= at < extent for at, extent in zip(place, shape, strict=True)):
            result[place] = x[index]
    return result


def pads():
    def pad(name, dtype, shape, low, high, interior):
        x, value = wide(dtype, *shape, seed=3), wide(dtype, seed=4)
        return one_op(
            f"pad_{code(dtype)}{name}",
            "stablehlo.pad",
            (x, value),
            padded(x, value, low, high, interior),
            f"edge_padding_low = {i64s(*low)}, edge_padding_high = {i64s(*high)}, "
            f"interior_padding = {i64s(*interior)}",
            exact=True,
        )

    for dtype in ALL:
        yield pad("", dtype, (2, 3), (1, 0), (0, 2), (1, 0))
    for name, *rest in (
        ("_negative_low", (4,), (-2,), (0,), (0,)),
        ("_negative_high", (4,), (0,), (-3,), (0,)),
        ("_negative_both", (3, 5), (-1, -2), (-1, -1), (0, 0)),
        ("_negative_beside_interior", (4,), (-2,), (-1,), (2,)),
        ("_negative_against_positive", (4, 4), (-1, 2), (3, -2), (0, 1)),
        ("_cuts_into_interior", (3,), (-1,), (-1,), (1,)),
        ("_to_nothing", (3,), (-1,), (-2,), (0,)),
        ("_of_nothing", (0, 2), (2, 0), (1, 0), (3, 0)),
        ("_scalar", (), (), (), ()),
        ("_by_nothing", (2, 2), (0, 0), (0, 0), (0, 0)),
        ("_of_one_element", (1, 1), (1, 0), (1, 2), (5, 5)),
        ("_3d", (2, 1, 2), (0, 1, -1), (1, 1, 3), (2, 0, 1)),
    ):
        yield pad(name, I32, *rest)
        if "negative" in name:
            yield pad(name, F32, *rest)


def reshapes():
    for dtype in ALL:
        x = wide(dtype, 2, 6, seed=1)
        yield one_op(f"reshape_{code(dtype)}", "stablehlo.reshape", (x,), x.reshape(3, 2, 2), exact=True)
    for source, target in (
        ((), (1,)),
        ((1, 1), ()),
        ((1,), (1, 1, 1)),
        ((0, 3), (5, 0)),
        ((2, 3), (6,)),
        ((6,), (3, 1, 2)),
        ((2, 3), (2, 3)),
    ):
        x = wide(I32, *source, seed=2)
        label = "_to_".join("x".join(map(str, shape)) or "scalar" for shape in (source, target))
        yield one_op(f"reshape_i32_{label}", "stablehlo.reshape", (x,), x.reshape(target))


def reversals():
    for dtype in ALL:
        x = wide(dtype, 2, 3, seed=1)
        yield one_op(
            f"reverse_{code(dtype)}",
            "stablehlo.reverse",
            (x,),
            x[:, ::-1].copy(),
            f"dimensions = {i64s(1)}",
            exact=True,
        )
    x = wide(I32, 2, 3, 4, seed=2)
    for dims in ((), (0,), (2, 0), (0, 1, 2)):
        label = "".join(map(str, dims)) or "nothing"
        yield one_op(
            f"reverse_i32_{label}", "stablehlo.reverse", (x,), np.flip(x, dims), f"dimensions = {i64s(*dims)}"
        )
    for name, x in {"empty": np.zeros((0, 2), I32), "one_element": array([[7]], I32)}.items():
        yield one_op(f"reverse_i32_{name}", "stablehlo.reverse", (x,), x, f"dimensions = {i64s(0, 1)}")


def slices():
    def cut(name, x, start, limit, strides):
        windows = tuple(slice(*one) for one in zip(start, limit, strides, strict=True))
        return one_op(
            f"slice_{name}",
            "stablehlo.slice",
            (x,),
            x[windows].copy() if windows else x,
            f"start_indices = {i64s(*start)}, limit_indices = {i64s(*limit)}, strides = {i64s(*strides)}",
            exact=True,
        )

    for dtype in ALL:
        yield cut(code(dtype), wide(dtype, 3, 5, seed=1), (1, 0), (3, 4), (1, 2))
    x = wide(I32, 7, seed=2)
    for name, start, limit, stride in (
        ("whole", 0, 7, 1),
        ("last", 6, 7, 1),
        ("nothing", 3, 3, 1),
        ("nothing_at_the_end", 7, 7, 2),
        ("uneven_stride", 1, 7, 4),
        ("stride_beyond", 2, 6, 100),
    ):
        yield cut(f"i32_{name}", x, (start,), (limit,), (stride,))
    yield cut("i32_scalar", array(3, I32), (), (), ())
    yield cut("i32_of_nothing", np.zeros((0, 3), I32), (0, 1), (0, 3), (1, 1))


def transpositions():
    for dtype in ALL:
        x = wide(dtype, 2, 3, seed=1)
        yield one_op(
            f"transpose_{code(dtype)}",
            "stablehlo.transpose",
            (x,),
            x.T.copy(),
            f"permutation = {i64s(1, 0)}",
            exact=True,
        )
    x = wide(I32, 2, 3, 4, seed=2)
    for permutation in itertools.permutations(range(3)):
        yield one_op(
            f"transpose_i32_{''.join(map(str, permutation))}",
            "stablehlo.transpose",
            (x,),
            x.transpose(permutation).copy(),
            f"permutation = {i64s(*permutation)}",
        )
    for name, x in {
        "square": wide(I32, 3, 3, seed=3),
        "row": wide(I32, 1, 4, seed=3),
        "empty": np.zeros((0, 3), I32),
    }.items():
        yield one_op(
            f"transpose_i32_{name}", "stablehlo.transpose", (x,), x.T.copy(), f"permutation = {i64s(1, 0)}"
        )
    x = array(9, I32)
    yield one_op("transpose_i32_scalar", "stablehlo.transpose", (x,), x, f"permutation = {i64s()}")


def clamped_start(start, extents, sizes):
    """Where a window really starts: moved until it lies inside."""
    return [max(0, min(int(at), n - size)) for at, n, size in zip(start, extents, sizes, strict=True)]


def trusted(index_type):
    """The interpreter takes the upper half of an unsigned index type for negative numbers."""
    return ("xla",) if index_type in UNSIGNED else BOTH


def dynamic_slices():
    def cut(name, x, start, sizes, index_type=I32, references=BOTH):
        at = clamped_start(start, x.shape, sizes)
        window = x[tuple(slice(low, low + size) for low, size in zip(at, sizes, strict=True))]
        return one_op(
            f"dynamic_slice_{name}",
            "stablehlo.dynamic_slice",
            (x, *(array(i, index_type) for i in start)),
            window.copy() if sizes else x,
            f"slice_sizes = {i64s(*sizes)}",
            exact=True,
            public=tuple(range(1, 1 + len(start))),
            references=references,
        )

    def put(name, x, update, start, index_type=I32, references=BOTH):
        result = x.copy()
        at = clamped_start(start, x.shape, update.shape)
        result[tuple(slice(low, low + size) for low, size in zip(at, update.shape, strict=True))] = update
        return one_op(
            f"dynamic_update_slice_{name}",
            "stablehlo.dynamic_update_slice",
            (x, update, *(array(i, index_type) for i in start)),
            result,
            exact=True,
            public=tuple(range(2, 2 + len(start))),
            references=references,
        )

    for dtype in ALL:
        x, update = wide(dtype, 3, 4, seed=1), wide(dtype, 2, 2, seed=2)
        yield cut(code(dtype), x, (1, 2), (2, 2))
        yield put(code(dtype), x, update, (0, 1))
    x, update = wide(I32, 4, 5, seed=3), wide(I32, 2, 3, seed=4)
    for name, start in {
        "inside": (1, 2),
        "at_zero": (0, 0),
        "just_fits": (2, 2),
        "beyond_the_end": (3, 4),
        "far_beyond_the_end": (100, 2**31 - 1),
        "negative": (-1, -4),
        "far_negative": (-(2**31), 1),
        "one_each_way": (-3, 50),
    }.items():
        yield cut(f"i32_{name}", x, start, (2, 3))
        yield put(f"i32_{name}", x, update, start)
    for index_type in INTS:
        yield cut(f"by_{code(index_type)}", x, (1, 100), (1, 2), index_type)
        yield put(f"by_{code(index_type)}", x, update, (100, 1), index_type)
        far, label = np.iinfo(index_type).max, f"by_the_last_{code(index_type)}"
        yield cut(label, x, (1, far), (1, 2), index_type, references=trusted(index_type))
        yield put(label, x, update, (far, 1), index_type, references=trusted(index_type))
    yield cut("i32_whole", x, (3, 3), (4, 5))
    yield put("i32_whole", x, wide(I32, 4, 5, seed=5), (3, 3))
    # XLA is given text, which MLIR cannot read again.
    yield cut("i32_of_scalar", array(6, I32), (), (), references=("interpreter",))
    yield put("i32_of_scalar", array(6, I32), array(-6, I32), ())
    yield cut("i32_nothing", x, (2, 9), (0, 2))
    yield put("i32_nothing", x, np.zeros((0, 2), I32), (2, 9))


def gathered(x, indices, offset, collapsed, index_map, vector_dim, sizes, batching=(), index_batching=()):
    """`gather` by its definition, its index vectors clamped so that every slice lies inside."""
    if vector_dim == indices.ndim:
        indices = indices[..., None]
    batch_shape = [n for d, n in enumerate(indices.shape) if d != vector_dim]
    kept = [size for d, size in enumerate(sizes) if d not in (*collapsed, *batching)]
    rank = len(batch_shape) + len(kept)
    batch_dims = [d for d in range(rank) if d not in offset]
    shape = np.zeros(rank, int)
    shape[batch_dims], shape[list(offset)] = batch_shape, kept
    result = np.zeros(shape, x.dtype)
    for place in np.ndindex(*shape):
        batch = [place[d] for d in batch_dims]
        vector = indices[(*batch[:vector_dim], slice(None), *batch[vector_dim:])]
        start = [0] * x.ndim
        for value, dim in zip(vector, index_map, strict=True):
            start[dim] = max(0, min(int(value), x.shape[dim] - sizes[dim]))
        for dim, of_indices in zip(batching, index_batching, strict=True):
            start[dim] = batch[of_indices - (of_indices > vector_dim)]
        inner = iter(place[d] for d in offset)
        for d in range(x.ndim):
            if d not in (*collapsed, *batching):
                start[d] += next(inner)
        result[place] = x[tuple(start)]
    return result


def gathers():
    def gather(name, x, indices, offset, collapsed, index_map, vector_dim, sizes, *batches, references=BOTH):
        lists = {
            "offset_dims": offset,
            "collapsed_slice_dims": collapsed,
            "operand_batching_dims": batches[0] if batches else (),
            "start_indices_batching_dims": batches[1] if batches else (),
            "start_index_map": index_map,
        }
        numbers = ", ".join(f"{key} = {list(value)}" for key, value in lists.items() if value)
        return one_op(
            f"gather_{name}",
            "stablehlo.gather",
            (x, indices),
            gathered(x, indices, offset, collapsed, index_map, vector_dim, sizes, *batches),
            f"dimension_numbers = #stablehlo.gather<{numbers}, index_vector_dim = {vector_dim}>, "
            f"slice_sizes = {i64s(*sizes)}, indices_are_sorted = false",
            exact=True,
            public=(1,),
            references=references,
        )

    rows = array([[2], [0], [2], [4]], I32)
    for dtype in ALL:
        yield gather(code(dtype), wide(dtype, 5, 3, seed=1), rows, (1,), (0,), (0,), 1, (1, 3))
    x = wide(I32, 5, 3, seed=2)
    for name, values in {
        "beyond_the_end": [[5], [7], [2**31 - 1]],
        "negative": [[-1], [-5], [-(2**31)]],
        "one_row": [[3]],
    }.items():
        yield gather(f"i32_{name}", x, array(values, I32), (1,), (0,), (0,), 1, (1, 3))
    for index_type in INTS:
        label, last = code(index_type), np.iinfo(index_type).max
        yield gather(f"by_{label}", x, array([[1], [100]], index_type), (1,), (0,), (0,), 1, (1, 3))
        far = array([[1], [last]], index_type)
        yield gather(
            f"by_the_last_{label}", x, far, (1,), (0,), (0,), 1, (1, 3), references=trusted(index_type)
        )
    yield gather("i32_no_rows", x, np.zeros((0, 1), I32), (1,), (0,), (0,), 1, (1, 3))
    yield gather("i32_implicit_vector", x, array([4, 1, 9], I32), (1,), (0,), (0,), 1, (1, 3))
    yield gather("i32_by_scalar", x, array(2, I32), (0,), (0,), (0,), 0, (1, 3))
    yield gather("i32_columns", x, array([2, 0, -1, 3], I32), (0,), (1,), (1,), 1, (5, 1))
    yield gather(
        "i32_single_elements", x, array([[0, 2], [4, 0], [4, 9]], I32), (), (0, 1), (0, 1), 1, (1, 1)
    )
    yield gather(
        "i32_swapped_index_map", x, array([[0, 2], [2, 4], [1, -9]], I32), (), (0, 1), (1, 0), 1, (1, 1)
    )
    yield gather("i32_vectors_first", x, array([[0, 4, 8], [2, 1, 0]], I32), (), (0, 1), (0, 1), 0, (1, 1))
    yield gather("i32_windows", x, array([[3, 1], [4, 2], [0, 0]], I32), (1, 2), (), (0, 1), 1, (2, 2))
    yield gather("i32_windows_first", x, array([[3, 1], [4, 2], [0, 0]], I32), (0, 1), (), (0, 1), 1, (2, 2))
    yield gather(
        "i32_offset_between_batches", x, array([[[0], [1]], [[4], [5]]], I32), (1,), (0,), (0,), 2, (1, 3)
    )
    cube = wide(I32, 2, 4, 3, seed=3)
    yield gather(
        "i32_last_two_of_three", cube, array([[1, 0], [3, 2]], I32), (1,), (1, 2), (1, 2), 1, (2, 1, 1)
    )
    yield gather(
        "i32_batched",
        cube,
        array([[3, 0], [1, 9]], I32)[..., None],
        (2,),
        (1,),
        (1,),
        2,
        (1, 1, 3),
        (0,),
        (0,),
    )


MOVEMENT_CASES = (
    *constants(),
    *iotas(),
    *broadcasts(),
    *concatenations(),
    *barriers(),
    *pads(),
    *reshapes(),
    *reversals(),
    *slices(),
    *transpositions(),
    *dynamic_slices(),
    *gathers(),
)
