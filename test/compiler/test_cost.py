"""The cost model against numbers that were published of or counted in the engine, without running it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sketch import Sketch

import ditto
from ditto.compiled_program import Program
from ditto_compiler.cost.measured import FREE, Cost, load_table
from ditto_compiler.cost.model import estimate, seconds_on
from ditto_compiler.cost.ops.products import product_blocks
from ditto_compiler.encoding import RINGS, Fxp, Int
from ditto_compiler.network import PRESETS
from ditto_compiler.oneshot.terms import Term, Terms
from ditto_compiler.scopes import scope_path

TABLE = load_table()
S = jax.ShapeDtypeStruct


def f32(*shape):
    return S(shape, np.float32)


def cost_of(function, *arguments, policy="uniform64", **options):
    return estimate(ditto.compile(function, *arguments, policy=policy, **options))


@pytest.mark.parametrize(("ring", "product", "truncation"), [(32, 12, 20), (64, 24, 28), (128, 48, 56)])
def test_product_and_truncation_of_each_ring(ring, product, truncation):
    """Three ring elements for a product; two and three carries for a truncation (by 40 bits in ring 128)."""
    cost = cost_of(lambda x, w: x @ w, f32(5, 7), f32(7, 3), policy=f"uniform{ring}").total
    assert cost.bytes == 15 * (product + truncation)
    assert (cost.messages, cost.rounds) == (8, 3)


def test_batched_product_is_so_many_products():
    cost = cost_of(lambda x, w: jnp.einsum("bij,bjk->bik", x, w), f32(6, 4, 5), f32(6, 5, 2)).total
    assert cost.bytes == 6 * 8 * (24 + 28)
    assert cost.messages == 6 * 8


def test_public_operand_saves_the_product():
    cost = cost_of(lambda x, w: x @ w, f32(4, 4), f32(4, 4), visibility=("secret", "public")).total
    assert (cost.bytes, cost.messages) == (16 * 28, 5)


def test_public_program_is_free():
    cost = cost_of(lambda x: jnp.exp(x) @ x, f32(4, 4), visibility="public")
    assert (cost.total.bytes, cost.total.messages) == (0, 0)
    assert cost.unknown == ()


def test_maximum_over_an_axis_is_a_tree():
    """n - 1 comparisons and selections, in as many steps as halvings."""
    cost = cost_of(lambda x: jnp.max(x, 1), f32(3, 11)).total
    # 11 -> 5 and one over; 6 -> 3; 3 -> 1 and one over; 2 -> 1.
    assert cost.bytes == 3 * 10 * (108 + 64)
    assert cost.messages == 4 * (24 + 8)


def test_sum_over_an_axis_sends_nothing():
    cost = cost_of(lambda x: x.sum(1), f32(3, 11)).total
    assert (cost.bytes, cost.messages) == (0, 0)


def test_loop_costs_as_often_as_it_runs():
    def loop(count):
        return cost_of(lambda x: jax.lax.fori_loop(0, count, lambda i, a: a * x, x), f32(4)).total

    assert loop(6).bytes == 2 * loop(3).bytes > 0
    assert loop(0).bytes == 0


def test_loop_of_unknown_length_is_reported():
    cost = cost_of(
        lambda x, n: jax.lax.fori_loop(0, n, lambda i, a: a * x, x),
        f32(4),
        S((), np.int32),
        visibility=("secret", "public"),
    )
    assert cost.unknown == ("while of unknown length (counted once)",)


def test_constant_below_the_grid_truncates_by_more():
    """x * 2^-17 is known to the engine as a truncation by 18 + 16 bits, which costs more above 32 bits."""
    assert cost_of(lambda x: x * 2.0**-17, f32()).total.bytes == 40
    assert cost_of(lambda x: x * 2.0**-15, f32()).total.bytes == 28


def test_maximum_selects_by_one_bit():
    """A comparison gives a boolean share of one bit, by which an arithmetic share is multiplied as it is."""
    assert cost_of(jnp.maximum, f32(8), f32(8)).total.bytes == 8 * (108 + 64)


def test_cost_depends_on_fraction_bits_where_the_engine_does():
    assert TABLE.cost("truncate", "ap", 64, 1, 32).bytes == 28
    assert TABLE.cost("truncate", "ap", 64, 1, 33).bytes == 40
    assert TABLE.cost("log", "a", 64, 1, 20).bytes == TABLE.cost("log", "a", 64, 1, 18).bytes + 2 * 64


def test_table_is_whole():
    for row, by_form in TABLE.rows.items():
        for forms, by_ring in by_form.items():
            for ring, segments in by_ring.items():
                where = f"{row} {forms} {ring}"
                assert ring in RINGS, where
                fracs = [segment.frac for segment in segments]
                assert fracs == sorted(set(fracs)), where
                for segment in segments:
                    assert (
                        min(segment.bytes, segment.messages, segment.rounds, segment.ns, segment.us) >= 0
                    ), where
                    # Nobody can wait more often than messages are sent.
                    assert segment.rounds <= segment.messages, where
                    assert (segment.bytes > 0) == (segment.messages > 0) == (segment.rounds > 0), where
    assert set(TABLE.sort) == set(TABLE.multiply_add_ns) == set(RINGS)


MIXED = ditto.Policy(
    "mixed",
    ditto.load_policy("uniform64").dtypes,
    (ditto.Rule("products in 32 bits", op=("stablehlo.dot*",), ring=32, frac=10),),
)


def test_casts_share_messages():
    def f(x, w, v):
        return jax.nn.softmax(x @ w), jax.nn.softmax(x @ v)

    program = ditto.compile(f, f32(4, 8), f32(8, 8), f32(8, 8), policy=MIXED)
    up = [op for op in estimate(program).ops if op.op == "upcast"]
    assert len(up) == 2
    assert sum(op.cost.messages for op in up) == 3
    assert sum(op.cost.bytes for op in up) == sum(
        value.elements * cast.bytes_per_element for value, cast in program.casts()
    )


def test_large_products_are_cut():
    assert product_blocks(128, 768, 3072, 64) == [(128, 3072)]
    blocks = product_blocks(128, 30522, 768, 64)
    # Twice through the contracted dimension: the whole result, twice.
    assert blocks == [(128, 768)] * 2
    for m, k, n, ring in [(5000, 5000, 5000, 64), (40000, 300, 700, 128), (3, 20_000_000, 2, 32)]:
        cut = product_blocks(m, k, n, ring)
        assert sum(rows * columns for rows, columns in cut) % (m * n) == 0
        assert len(cut) > 1


def test_time_is_computing_and_transmitting_and_waiting():
    cost = Cost(bytes=300e6, messages=9, rounds=10, seconds=2.0)
    assert seconds_on(cost, PRESETS["wan"]) == pytest.approx(2 / 3 + 2.0 + 0.2)
    assert seconds_on(cost, PRESETS["wan"], processors=2) == pytest.approx(2 / 2 + 2.0 + 0.2)


def test_costs_add_up():
    a, b = Cost(1, 2, 3, 4), Cost(10, 20, 30, 40)
    assert a + b == Cost(11, 22, 33, 44)
    assert a.times(3) == a + a + a
    assert FREE + a == a


def model_with_scopes(x, w, v):
    with jax.named_scope("encoder"):
        with jax.named_scope("attention"):
            h = jax.nn.softmax(x @ w)
        with jax.named_scope("mlp"):
            return jax.nn.relu(h @ v)


ARGUMENTS = (f32(4, 8), f32(8, 8), f32(8, 2))


@pytest.mark.parametrize("policy", ["uniform64", MIXED])
def test_each_op_knows_its_scope(policy):
    ops = estimate(ditto.compile(model_with_scopes, *ARGUMENTS, policy=policy)).ops
    scopes = {(op.op, op.scope) for op in ops}
    assert {
        ("dot", "encoder/attention"),
        ("divide", "encoder/attention"),
        ("dot", "encoder/mlp"),
    } <= scopes
    paid = {op.scope for op in ops if op.cost.bytes}
    assert paid == {"encoder/attention", "encoder/mlp"}


def test_casts_have_scopes():
    ops = estimate(ditto.compile(model_with_scopes, *ARGUMENTS, policy=MIXED)).ops
    assert {op.scope for op in ops if op.is_cast} <= {"encoder/attention", "encoder/mlp"}


def test_scopes_survive_the_program_file():
    program = ditto.compile(model_with_scopes, *ARGUMENTS, policy=MIXED)
    loaded = Program.from_bytes(program.to_bytes())
    assert loaded == program
    assert estimate(loaded) == estimate(program)
    for region in program.regions.values():
        lines = region.code.splitlines()
        text_ops = sum(line.count('"pphlo.') + line.strip().startswith("return") for line in lines)
        assert len(region.op_scopes()) == text_ops


@pytest.mark.parametrize(
    ("stack", "scope"),
    [
        ("jit(f)/jit(main)/encoder/layer0/attention/qkv/dot_general", "encoder/layer0/attention/qkv"),
        ("jit(f)/jit(main)/scores/nqd,knd->nqk/dot_general", "scores"),
        ("jit(f)/jit(main)/add", ""),
        ("jit(f)/jit(main)/mlp/jit(relu)/max", "mlp"),
        ("jit(f)/jit(main)/vmap(layer)/add", "layer"),
        ("jit(f)/jit(main)/transpose(jvp(layer))/add", "layer"),
        ("jit(f)/jit(main)/while/body/layer/mul", "layer"),
        ("", ""),
    ],
)
def test_scope_is_what_the_user_named(stack, scope):
    assert scope_path(stack) == scope


def test_estimate_agrees_with_the_published_cost_of_a_layer():
    """PUMA's approximations in ring 64 on this engine are 4724 Mbit for a BERT-base layer at 128 tokens, of
    which the matrix products are 491."""
    s, h, m, heads = 128, 768, 3072, 12

    def products(x, qkv, q, k, v, p, c, o, u, d):
        return x @ qkv, q @ k, p @ v, c @ o, x @ u, (x @ u) @ d

    shapes = [
        (s, h),
        (h, 3 * h),
        (heads, s, 64),
        (heads, 64, s),
        (heads, s, 64),
        (heads, s, s),
        (s, h),
        (h, h),
        (h, m),
        (m, h),
    ]
    total = cost_of(products, *(f32(*shape) for shape in shapes)).total.bytes
    outputs = s * 3 * h + heads * s * s + heads * s * 64 + s * h + s * m + s * h
    assert total == outputs * 52
    assert math.isclose(total * 8 / 1e6, 491, rel_tol=0.01)


def beside(*, rows=8):
    """A program beside the engine: a product, and a selection by a comparison next to it."""
    s = Sketch()
    x, w = s.number(rows, 16, ring=32, frac=10), s.number(16, 4, ring=32, frac=10)
    dims = {"left_batch": (), "right_batch": (), "left_contracting": (1,), "right_contracting": (0,)}
    product = s.add("dot_general", (x, w), (rows, 4), Fxp(22, 10), **dims)
    low = s.add("less", (product,), (rows, 4), Int(32), is_bit=True, thresholds=(0,))
    positive = s.add("negate", (product,), (rows, 4))
    s.add("select", (low, positive, product), (rows, 4), Fxp(22, 10))
    s.add("cast", (product,), (rows, 4), Fxp(32, 10))
    return s


def test_beside_the_engine_products_cost_what_is_left_of_the_ring():
    """Three times 22 bits an element in one round, where the engine sends 12 bytes and 20 in three."""
    ops = {op.op: op for op in estimate(beside().program()).ops}
    assert ops["dot_general"].cost.bytes == 3 * 32 * 22 / 8
    assert (ops["dot_general"].cost.rounds, ops["dot_general"].ring) == (1, 22)
    assert ops["select"].cost.bytes == 4 * 32 * 22 / 8
    assert ops["cast"].cost.bytes == 4 * 32 * 10 / 8
    assert ops["negate"].cost.bytes == ops["negate"].cost.messages == ops["negate"].cost.rounds == 0
    assert {op.op: op.beside for op in ops.values()} == {
        "dot_general": "products",
        "less": "comparisons",
        "negate": "local",
        "select": "selections",
        "cast": "widening",
    }


def test_beside_the_engine_rounds_are_those_of_the_longest_chain():
    """What runs at the same time waits together: the widening takes rounds that the comparison takes too."""
    s = beside()
    total, planned = estimate(s.program()).total, s.planned
    ops = {op.op: op for op in estimate(s.program()).ops}
    assert ops["cast"].cost.rounds == 0
    assert total.rounds == planned.rounds == 1 + ops["less"].cost.rounds + 2
    assert total.bytes == planned.bytes
    assert total.messages == pytest.approx(len(planned.messages))
    assert 0 < ops["cast"].cost.messages <= 3


def test_every_instruction_has_a_measured_row():
    for kinds in (
        "multiply",
        "product",
        "widen",
        "less",
        "select",
        "convert",
        "fourier",
        "exponential",
        "local",
    ):
        assert set(TABLE.beside.rows[kinds]) == {32, 64}
    assert set(TABLE.beside.rows["join"]) == {32}
    for by_word in TABLE.beside.rows.values():
        assert all(min(work.ns, work.byte_ns, work.us) >= 0 for work in by_word.values())
        assert all(work.ns + work.byte_ns > 0 for work in by_word.values())
    assert set(TABLE.beside.multiply_add_ns) == set(TABLE.beside.read_ns) == {32, 64}


def products(m, k, n, ring=32):
    s = Sketch()
    x, w = (s.value(shape, Fxp(ring, 10)) for shape in ((m, k), (k, n)))
    dims = {"left_batch": (), "right_batch": (), "left_contracting": (1,), "right_contracting": (0,)}
    s.add("dot_general", (x, w), (m, n), Fxp(ring - 10, 10), **dims)
    return estimate(s.program()).total.seconds


def test_products_of_few_rows_take_as_long_as_their_weights_take_to_read():
    """One row and eight of a large product differ by much less than eight times, 128 and 1024 by that."""
    assert products(8, 4096, 11008) < 3 * products(1, 4096, 11008)
    assert products(1024, 768, 768) == pytest.approx(8 * products(128, 768, 768), rel=0.15)
    assert products(128, 768, 3072, ring=64) > 1.5 * products(128, 768, 3072)


def test_convolutions_multiply_as_often_as_their_window_has_places():
    """A window of one is a matrix product of channels."""
    ones, zeros = (
        {"strides": (1,), "left_dilation": (1,), "right_dilation": (1,)},
        {"low": (0,), "high": (0,)},
    )
    s = Sketch()
    x, w = (s.value(shape, Fxp(32, 10)) for shape in ((1, 768, 128), (768, 768, 1)))
    s.add(
        "convolution", (x, w), (1, 768, 128), Fxp(22, 10), **ones, **zeros, reverse=(0,),
        input=(0, 1, 2), kernel=(0, 1, 2), output=(0, 1, 2), groups=1, batch_groups=1,
    )  # fmt: skip
    assert estimate(s.program()).total.seconds == pytest.approx(products(128, 768, 768), rel=0.01)


def test_functions_cost_by_their_words():
    def function(count):
        terms = Terms(
            kind="fourier", ring=16, frac=8, low=-1000, high=1000, result_ring=20, result_frac=8, drop=4,
            coefficient_frac=20, constant=0, terms=(Term(1, 1, 1, 4, 0),) * count,
        )  # fmt: skip
        s = Sketch()
        about = {k: tuple(v) if isinstance(v, list) else v for k, v in terms.to_attributes().items()}
        s.add("oneshot", (s.number(5000, ring=16, frac=8),), (5000,), Fxp(20, 8), **about)
        return estimate(s.program()).total

    few, many = function(2), function(6)
    assert (few.bytes, many.bytes) == (5000 * 3 * (2 * 2 + 2 * 20 / 24), 5000 * 3 * (2 * 6 + 2 * 20 / 24))
    assert few.rounds == many.rounds == 2
    assert few.seconds < many.seconds


def test_public_values_cost_nothing_beside_the_engine():
    s = Sketch()
    x = s.number(4, secret=False)
    s.add("multiply", (x, x), (4,), Fxp(12, 8))
    assert estimate(s.program()).ops == ()


def test_casts_of_a_program_include_those_beside_the_engine():
    (pair,) = beside().program().casts()
    value, cast = pair
    assert (value.elements, str(cast.source), str(cast.target)) == (
        32,
        "#ditto.fxp<22, 10>",
        "#ditto.fxp<32, 10>",
    )
