"""Products of matrices, and convolutions with one group."""

import itertools
import operator

import numpy as np
from case_builders import (
    BOOL,
    BOTH,
    F32,
    F64,
    FLOATS,
    I32,
    I64,
    INTS,
    array,
    case,
    code,
    i64s,
    is_float,
    numbers,
    one_op,
    wide,
    wrap,
)


def exact_numbers(x):
    """The elements as Python's numbers: products of them neither wrap nor round."""
    return (x.astype(F64) if is_float(x.dtype) else x.astype(np.int8) if x.dtype == BOOL else x).astype(
        object
    )


def rounded(values, dtype):
    flat = [wrap(int(v), dtype) if dtype.kind in "iu" else v for v in np.ravel(values).tolist()]
    return np.array(flat, dtype).reshape(np.shape(values))


def small(dtype, *shape, seed):
    """`numbers`, but whole ones for the short floats, so that sums of their products are exact too."""
    x = numbers(dtype, *shape, seed=seed)
    return np.sign(x) * np.floor(np.abs(x) / 2) if dtype in FLOATS[:2] else x


def dot_general(name, x, y, contract, batch=((), ()), result=None, attributes="", **options):
    """The product, its result's dimensions: batches, then what is left of `x`, then of `y`."""
    free = [
        [d for d in range(one.ndim) if d not in contract[side] and d not in batch[side]]
        for side, one in enumerate((x, y))
    ]
    left = np.transpose(exact_numbers(x), [*batch[0], *free[0], *contract[0]])
    right = np.transpose(exact_numbers(y), [*batch[1], *free[1], *contract[1]])
    batches = [x.shape[d] for d in batch[0]]
    rows, columns = ([one.shape[d] for d in dims] for one, dims in zip((x, y), free, strict=True))
    inner = [x.shape[d] for d in contract[0]]
    depth = int(np.prod(inner, dtype=int))
    product = np.zeros([*batches, *rows, *columns], object)
    for b in np.ndindex(*batches):
        for i, j in itertools.product(np.ndindex(*rows), np.ndindex(*columns)):
            one, other = np.reshape(left[b + i], depth), np.reshape(right[b + j], depth)
            product[b + i + j] = sum(map(operator.mul, one.tolist(), other.tolist()))
    return one_op(
        f"dot_general_{name}",
        "stablehlo.dot_general",
        (x, y),
        rounded(product, np.dtype(result or x.dtype)),
        "dot_dimension_numbers = #stablehlo.dot<"
        f"lhs_batching_dimensions = {list(batch[0])}, rhs_batching_dimensions = {list(batch[1])}, "
        f"lhs_contracting_dimensions = {list(contract[0])}, rhs_contracting_dimensions = {list(contract[1])}>"
        + attributes,
        **options,
    )


MATRICES = ((1,), (0,))


def general_products():
    for dtype in (*INTS, *FLOATS):
        x, y = small(dtype, 2, 3, seed=1), small(dtype, 3, 4, seed=2)
        yield dot_general(code(dtype), x, y, MATRICES)
        if dtype in INTS:
            yield dot_general(
                f"{code(dtype)}_wraps", wide(dtype, 2, 3, seed=3), wide(dtype, 3, 2, seed=4), MATRICES
            )
    for dtype in (I32, F32):
        name = code(dtype)

        def pair(left, right, dtype=dtype):
            return numbers(dtype, *left, seed=5), numbers(dtype, *right, seed=6)

        yield dot_general(f"{name}_transposed_left", *pair((3, 2), (3, 4)), ((0,), (0,)))
        yield dot_general(f"{name}_transposed_right", *pair((2, 3), (4, 3)), ((1,), (1,)))
        yield dot_general(f"{name}_square", *pair((3, 3), (3, 3)), MATRICES)
        yield dot_general(f"{name}_inner", *pair((4,), (4,)), ((0,), (0,)))
        yield dot_general(f"{name}_outer", *pair((3,), (2,)), ((), ()))
        yield dot_general(f"{name}_outer_of_matrices", *pair((2, 3), (2, 2)), ((), ()))
        yield dot_general(f"{name}_of_scalars", *pair((), ()), ((), ()))
        yield dot_general(f"{name}_scalar_times_matrix", *pair((), (2, 3)), ((), ()))
        yield dot_general(f"{name}_matrix_times_vector", *pair((2, 3), (3,)), MATRICES)
        yield dot_general(f"{name}_vector_times_matrix", *pair((3,), (3, 2)), ((0,), (0,)))
        yield dot_general(f"{name}_batched", *pair((2, 2, 3), (2, 3, 2)), ((2,), (1,)), ((0,), (0,)))
        yield dot_general(f"{name}_batched_last", *pair((2, 3, 4), (3, 5, 4)), ((1,), (0,)), ((2,), (2,)))
        yield dot_general(
            f"{name}_two_batches", *pair((2, 3, 2, 4), (2, 3, 4, 2)), ((3,), (2,)), ((0, 1), (0, 1))
        )
        yield dot_general(
            f"{name}_swapped_batches", *pair((2, 3, 4), (3, 2, 4)), ((2,), (2,)), ((0, 1), (1, 0))
        )
        yield dot_general(f"{name}_batched_outer", *pair((2, 3), (2, 4)), ((), ()), ((0,), (0,)))
        yield dot_general(f"{name}_only_batches", *pair((3, 2), (3, 2)), ((), ()), ((0, 1), (0, 1)))
        yield dot_general(f"{name}_two_contractions", *pair((2, 3, 4), (3, 4, 2)), ((1, 2), (0, 1)))
        yield dot_general(f"{name}_crossed_contractions", *pair((2, 3, 4), (4, 2, 3)), ((1, 2), (2, 0)))
        yield dot_general(f"{name}_contracts_everything", *pair((2, 3), (2, 3)), ((0, 1), (0, 1)))
        yield dot_general(f"{name}_depth_1", *pair((2, 1), (1, 3)), MATRICES)
        yield dot_general(f"{name}_depth_0", *pair((2, 0), (0, 3)), MATRICES, references=("xla",))
        yield dot_general(f"{name}_no_rows", *pair((0, 3), (3, 2)), MATRICES)
        yield dot_general(f"{name}_empty_batch", *pair((0, 2, 3), (0, 3, 2)), ((2,), (1,)), ((0,), (0,)))
        yield dot_general(f"{name}_wide", *pair((1, 64), (64, 1)), MATRICES)
        yield one_op(
            f"dot_{name}_matrices",
            "stablehlo.dot",
            pair((2, 3), (3, 4)),
            rounded(np.dot(*map(exact_numbers, pair((2, 3), (3, 4)))), dtype),
            references=("xla",),
        )
        yield one_op(
            f"dot_{name}_vectors",
            "stablehlo.dot",
            pair((3,), (3,)),
            rounded(np.dot(*map(exact_numbers, pair((3,), (3,)))), dtype),
            references=("xla",),
        )
        yield one_op(
            f"dot_{name}_matrix_vector",
            "stablehlo.dot",
            pair((4, 3), (3,)),
            rounded(np.dot(*map(exact_numbers, pair((4, 3), (3,)))), dtype),
            references=("xla",),
        )
    x = numbers(I32, 2, 2, seed=7)
    yield case(
        "dot_general_i32_of_one_value",
        "stablehlo.dot_general",
        '%r = "stablehlo.dot_general"(%a, %a) <{dot_dimension_numbers = #stablehlo.dot<'
        "lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1]>}> : ($a, $a) -> $r",
        (x,),
        rounded(exact_numbers(x) @ exact_numbers(x).T, I32),
    )
    precise = ", precision_config = [#stablehlo<precision HIGHEST>, #stablehlo<precision HIGH>]"
    yield dot_general(
        "f32_highest_precision",
        numbers(F32, 2, 3, seed=8),
        numbers(F32, 3, 2, seed=9),
        MATRICES,
        attributes=precise,
    )


def wider_results():
    """A result type that is wider than the operands': products and sums are of the result's type."""
    for source, target in (
        ("int8", I32),
        ("int16", I32),
        ("int8", I64),
        ("int32", I64),
        ("uint8", np.dtype("uint32")),
        ("float16", F32),
        ("float32", F64),
    ):
        source = np.dtype(source)
        x, y = wide(source, 3, 4, seed=1), wide(source, 4, 2, seed=2)
        yield dot_general(f"{code(source)}_to_{code(target)}", x, y, MATRICES, result=target)
        yield dot_general(
            f"{code(source)}_to_{code(target)}_batched",
            wide(source, 2, 1, 3, seed=3),
            wide(source, 2, 3, 2, seed=4),
            ((2,), (1,)),
            ((0,), (0,)),
            result=target,
        )
    least = array([[-128] * 4], np.dtype("int8"))
    yield dot_general("i8_to_i32_of_range_ends", least, least, ((1,), (1,)), result=I32)


def spread(x, axes, low, high, holes):
    """`x` of objects with zeros around it and between its elements along `axes`; negative edges crop."""
    for axis, p, q, step in zip(axes, low, high, holes, strict=True):
        x = np.moveaxis(x, axis, 0)
        extent = (len(x) - 1) * step + 1 if len(x) else 0
        wider = np.zeros((extent + max(p, 0) + max(q, 0), *x.shape[1:]), object)
        wider[max(p, 0) : max(p, 0) + extent : step] = x
        x = np.moveaxis(wider[max(-p, 0) : len(wider) - max(-q, 0)], 0, axis)
    return x


def convolution(
    name,
    x,
    kernel,
    layout="b01f_01io_b01f",
    strides=None,
    pads=None,
    lhs_holes=None,
    rhs_holes=None,
    reversal=None,
    result=None,
    **options,
):
    """A convolution by its definition; `layout` names the dimensions of input, kernel and output in order."""
    of_input, of_kernel, of_output = layout.split("_")
    rank = len(of_input) - 2
    digits = "".join(map(str, range(rank)))
    ones = (1,) * rank
    strides, lhs_holes, rhs_holes = strides or ones, lhs_holes or ones, rhs_holes or ones
    pads = pads or ((0, 0),) * rank
    left = np.transpose(exact_numbers(x), [of_input.index(c) for c in "bf" + digits])
    right = np.transpose(exact_numbers(kernel), [of_kernel.index(c) for c in "oi" + digits])
    axes = range(2, 2 + rank)
    left = spread(left, axes, [p for p, _ in pads], [q for _, q in pads], lhs_holes)
    right = spread(right, axes, [0] * rank, [0] * rank, rhs_holes)
    for axis, flip in zip(axes, reversal or (False,) * rank, strict=True):
        right = np.flip(right, axis) if flip else right
    window = right.shape[2:]
    extents = [max(0, (n - w) // s + 1) for n, w, s in zip(left.shape[2:], window, strides, strict=True)]
    output = np.zeros((left.shape[0], right.shape[0], *extents), object)
    for b, o, *place in np.ndindex(*output.shape):
        view = tuple(slice(p * s, p * s + w) for p, s, w in zip(place, strides, window, strict=True))
        patch = left[(b, slice(None), *view)]
        output[(b, o, *place)] = sum(map(operator.mul, patch.ravel().tolist(), right[o].ravel().tolist()))
    output = np.transpose(output, ["bf".find(c) if c in "bf" else 2 + int(c) for c in of_output])

    def dims(text):
        return "[" + ", ".join(text) + "]"

    numbering = f"#stablehlo.conv<{dims(of_input)}x{dims(of_kernel)}->{dims(of_output)}>"
    attributes = [
        f"dimension_numbers = {numbering}",
        "feature_group_count = 1 : i64, batch_group_count = 1 : i64",
        f"window_strides = {i64s(*strides)}",
        f"lhs_dilation = {i64s(*lhs_holes)}, rhs_dilation = {i64s(*rhs_holes)}",
    ]
    if rank:
        attributes.append(f"padding = dense<{[list(pair) for pair in pads]}> : tensor<{rank}x2xi64>")
    if reversal:
        attributes.append(f"window_reversal = array<i1: {', '.join(str(flip).lower() for flip in reversal)}>")
    return one_op(
        f"convolution_{name}",
        "stablehlo.convolution",
        (x, kernel),
        rounded(output, np.dtype(result or x.dtype)),
        ", ".join(attributes),
        **options,
    )


WINDOWS_2D = {
    "plain": {},
    "strided": {"strides": (2, 3)},
    "padded": {"pads": ((1, 1), (0, 2))},
    "cropped": {"pads": ((-1, 0), (-1, -1))},
    "cropped_and_padded": {"pads": ((-1, 2), (2, -1))},
    "with_input_holes": {"lhs_holes": (2, 3)},
    "with_kernel_holes": {"rhs_holes": (2, 2)},
    "reversed": {"reversal": (True, True)},
    "reversed_along_one": {"reversal": (False, True)},
    "with_everything": {
        "strides": (2, 1),
        "pads": ((2, 0), (-1, 3)),
        "lhs_holes": (1, 2),
        "rhs_holes": (2, 1),
        "reversal": (True, False),
    },
    "transposed": {"pads": ((1, 1), (1, 1)), "lhs_holes": (2, 2), "reversal": (True, True)},
}


def convolutions():
    for dtype in (I32, F32):
        name = code(dtype)
        x, kernel = numbers(dtype, 2, 5, 6, 2, seed=1), numbers(dtype, 2, 3, 2, 3, seed=2)
        for label, window in WINDOWS_2D.items():
            yield convolution(f"{name}_{label}", x, kernel, **window)
        letters = {"b": 2, "f": 2, "0": 4, "1": 5, "i": 2, "o": 3}
        for layout in (
            "bf01_oi01_bf01",
            "b01f_01io_b01f",
            "01bf_io01_f0b1",
            "f1b0_1o0i_10fb",
            "0bf1_o01i_bf10",
        ):
            of_input, of_kernel, _ = layout.split("_")
            x = numbers(dtype, *(letters[c] for c in of_input), seed=3)
            kernel = numbers(dtype, *({**letters, "0": 2, "1": 3}[c] for c in of_kernel), seed=4)
            yield convolution(
                f"{name}_{layout}",
                x,
                kernel,
                layout,
                strides=(1, 2),
                pads=((0, 1), (1, 0)),
                # The interpreter dies where a feature dimension comes before the batch dimension.
                references=("xla",) if layout.rindex("f") < layout.rindex("b") else BOTH,
            )
        x, kernel = numbers(dtype, 1, 7, 2, seed=5), numbers(dtype, 3, 2, 2, seed=6)
        for label, window in {
            "plain": {},
            "same": {"pads": ((1, 1),)},
            "causal": {"pads": ((2, 0),)},
            "strided": {"strides": (2,)},
            "full": {"pads": ((2, 2),), "reversal": (True,)},
            "with_kernel_holes": {"rhs_holes": (3,)},
            "with_input_holes": {"lhs_holes": (2,), "pads": ((1, 0),)},
        }.items():
            yield convolution(f"{name}_1d_{label}", x, kernel, "b0f_0io_b0f", **window)
        yield convolution(
            f"{name}_1d_channels_first",
            numbers(dtype, 2, 3, 5, seed=7),
            numbers(dtype, 2, 3, 2, seed=8),
            "bf0_oi0_bf0",
        )
        yield convolution(
            f"{name}_3d",
            numbers(dtype, 1, 3, 2, 4, 1, seed=9),
            numbers(dtype, 2, 2, 2, 1, 2, seed=10),
            "b012f_012io_b012f",
            pads=((0, 1), (0, 0), (-1, 0)),
        )
        yield convolution(
            f"{name}_0d", numbers(dtype, 2, 3, seed=11), numbers(dtype, 3, 2, seed=12), "bf_io_bf"
        )
        one = numbers(dtype, 1, 3, 3, 2, seed=13)
        yield convolution(f"{name}_1_by_1", one, numbers(dtype, 1, 1, 2, 3, seed=14))
        yield convolution(f"{name}_whole", one, numbers(dtype, 3, 3, 2, 1, seed=15))
        yield convolution(f"{name}_kernel_too_large", one, numbers(dtype, 4, 1, 2, 1, seed=16))
        yield convolution(
            f"{name}_empty_batch", np.zeros((0, 3, 3, 2), dtype), numbers(dtype, 2, 2, 2, 1, seed=17)
        )
    for dtype in (*INTS, *FLOATS):
        if dtype in (I32, F32):
            continue
        x, kernel = small(dtype, 1, 4, 4, 2, seed=18), small(dtype, 2, 2, 2, 2, seed=19)
        yield convolution(f"{code(dtype)}_padded", x, kernel, pads=((1, 0), (0, 1)))
    i8 = np.dtype("int8")
    x, kernel = wide(i8, 1, 4, 4, 2, seed=20), wide(i8, 2, 2, 2, 2, seed=21)
    yield convolution("i8_wraps", x, kernel)
    yield convolution("i8_to_i32", x, kernel, pads=((1, 0), (0, 1)), result=I32, references=("xla",))


PRODUCT_CASES = (*general_products(), *wider_results(), *convolutions())
