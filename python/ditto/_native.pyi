"""Local steps of the casts, the comparison and client-side sharing (python/native).

Arrays are C-contiguous, at any address, and must not overlap. `slots` and `raw` hold ring elements as in
`ditto.runtime.protocols.sharing`; every other array of a cast is a *section*: uint8, `word_bytes` bytes per
element. Sections come whole: their words are split into planes, so a part of one is not a shorter section.

A comparison has *queries*, uint8, ring / 2 - 1 bytes per element, which come whole too; and *bits*, uint8,
rows of one bit per element: 2 d - 1 rows for d digits, of which an element of the ring has ring / 4.

The *streams* of one-shot functions, uint8, hold n elements of r bits in ceil(n r / 8) bytes.

Every function raises ValueError if an array's size or a parameter does not fit, before it writes.
"""

from typing import Any

from numpy.typing import NDArray

_Array = NDArray[Any]

def send_two_rounds(
    slots: _Array,
    source: int,
    target: int,
    drop: int,
    left: int,
    word_bytes: int,
    q0: _Array,
    q1: _Array,
    w0: _Array,
    w1: _Array,
    out: _Array,
    p0: _Array,
    p1: _Array,
) -> None:
    """P0, two rounds: from x_0, x_1 and its masks, its result `out` and its message `p0`, `p1`."""

def send_one_round(
    slots: _Array,
    source: int,
    target: int,
    drop: int,
    left: int,
    word_bytes: int,
    k0: _Array,
    k1: _Array,
    w0: _Array,
    l0: _Array,
    l1: _Array,
    out: _Array,
    c: _Array,
    w1: _Array,
) -> None:
    """P0, one round: its result `out` and its messages `c` (to P1 and P2) and `w1` (to P1)."""

def choose_p1(
    slots: _Array, source: int, word_bytes: int, zero: _Array, one: _Array, mask: _Array, chosen: _Array
) -> None:
    """P1, with x_2 second: `chosen` = (`one` if msb(x_2) else `zero`) - `mask`; an empty mask is 0."""

def choose_p2(
    slots: _Array, source: int, word_bytes: int, zero: _Array, one: _Array, mask: _Array, chosen: _Array
) -> None:
    """P2, with x_2 first: as `choose_p1`."""

def finish_p1(
    slots: _Array,
    source: int,
    target: int,
    drop: int,
    left: int,
    word_bytes: int,
    mine: _Array,
    theirs: _Array,
    correction: _Array,
    other: _Array,
    out: _Array,
) -> None:
    """P1: W_2 = `mine` + `theirs` + msb(x_2) `correction` (empty is 0), `other` = W_1, result `out`."""

def finish_p2(
    slots: _Array,
    source: int,
    target: int,
    drop: int,
    left: int,
    word_bytes: int,
    mine: _Array,
    theirs: _Array,
    correction: _Array,
    other: _Array,
    out: _Array,
) -> None:
    """P2: as `finish_p1`, with `other` = W_0."""

def shift_p0(slots: _Array, source: int, target: int, drop: int, left: int, out: _Array) -> None:
    """A local cast of P0's slots: drop low bits, or add zeros; keep what fits the target ring."""

def shift_p1(slots: _Array, source: int, target: int, drop: int, left: int, out: _Array) -> None:
    """As `shift_p0`; x_2, the second slot, centres the error."""

def shift_p2(slots: _Array, source: int, target: int, drop: int, left: int, out: _Array) -> None:
    """As `shift_p0`; x_2, the first slot, centres the error."""

def encode(values: _Array, ring: int, frac: int, raw: _Array) -> bool:
    """Float32 or float64 to ring elements; False if some |value| * 2^frac >= 2^(ring-2), or is NaN."""

def decode(raw: _Array, ring: int, frac: int, values: _Array) -> None:
    """Ring elements, two's complement, times 2^-frac, to float64."""

def split(
    raw: _Array, ring: int, x0: _Array, x1: _Array, slots0: _Array, slots1: _Array, slots2: _Array
) -> None:
    """The three parties' slots for given x_0 and x_1 (ring elements as bytes)."""

def join(slots0: _Array, slots1: _Array, slots2: _Array, ring: int, raw: _Array) -> bool:
    """Sum of the three slots; False if the two copies of a slot differ."""

def compare_query(slots: _Array, ring: int, mask: _Array, query: _Array) -> None:
    """P0: from x_0 and x_1, the digits of their sum as words, masked; `mask` is a query as well."""

def compare_pick_p1(
    slots: _Array, ring: int, threshold: _Array, query: _Array, column: int, bits: _Array
) -> None:
    """P1, with x_2 second: add its share of G and P to `bits`, from byte `column` of each row on.

    `query` is its share of the words, `threshold` one ring element. A row takes a byte for every eight
    elements; `bits` may have longer rows.
    """

def compare_pick_p2(
    slots: _Array, ring: int, threshold: _Array, query: _Array, column: int, bits: _Array
) -> None:
    """P2, with x_2 first: as `compare_pick_p1`."""

def compare_level(
    slot0: _Array, slot1: _Array, digits: int, mask0: _Array, mask1: _Array, products: _Array
) -> None:
    """A level of the tree: from both slots of G and P, this party's `digits` - 1 rows of masked products.

    P_hi G_lo of each pair of digits, then P_hi P_lo of each pair but the lowest.
    """

def unpack_bits(slot0: _Array, slot1: _Array, bits: _Array) -> None:
    """One row of each slot, to one byte for each element and slot."""

# Linear algebra on shares: words, uint32 or uint64, of which the ring's bits count. *Packed*, n elements of
# r bits are ceil(n r / 8) bytes. Words that are read may be any view with strides, in one dimension where
# nothing else is said. Masks are packed, and so are messages.

def pack(words: _Array, bits: int, packed: _Array) -> None:
    """The low `bits` bits of each word, one element behind another."""

def unpack(packed: _Array, bits: int, words: _Array) -> None:
    """The inverse of `pack`; the bits of words above the elements' become 0."""

def reshare(
    z: _Array,
    ring: int,
    drop: int,
    centred: bool,
    after: _Array,
    before: _Array,
    own: _Array,
    message: _Array,
) -> None:
    """`own` = (z >> drop) + `after` - `before` in the ring of ring - drop bits, also packed, as `message`."""

def multiply(
    x0: _Array,
    x1: _Array,
    y0: _Array,
    y1: _Array,
    ring: int,
    drop: int,
    centred: bool,
    after: _Array,
    before: _Array,
    own: _Array,
    message: _Array,
) -> None:
    """`reshare` of z = x_i (y_i + y_{i+1}) + x_{i+1} y_i, by element."""

def widen_deal(
    x0: _Array,
    x1: _Array,
    source: int,
    target: int,
    drop: int,
    left: int,
    masks: _Array,
    w1: _Array,
    y0: _Array,
    y1: _Array,
    message: _Array,
) -> None:
    """P0 of a cast: from its masks q_0, q_1, W_0 (`masks`) and W_1, its result and its message F_b - q_b."""

def widen_choose(
    x2: _Array,
    source: int,
    target: int,
    drop: int,
    left: int,
    choices: _Array,
    mask: _Array,
    chosen: _Array,
) -> None:
    """P1 or P2: of two `choices`, that for msb(x_2), less `mask`."""

def widen_finish(
    x2: _Array,
    x: _Array,
    source: int,
    target: int,
    drop: int,
    left: int,
    offset: bool,
    mine: _Array,
    theirs: _Array,
    other: _Array,
    y2: _Array,
    y: _Array,
) -> None:
    """P1 or P2: results of x_2, with W_2 = `mine` + `theirs`, and of x, with W = `other`.

    `offset` if x is x_1, to which P0 added 2^(source - 2).
    """

def shift(x: _Array, source: int, target: int, drop: int, left: int, centred: bool, y: _Array) -> None:
    """A local cast of one slot: low bits dropped, centring the error or not, or zeros added."""

def matmul(a: _Array, b: _Array, c: _Array, bits: int = 64, add: bool = False, threads: int = 1) -> None:
    """`c` (+)= a b, for a batch: dimensions batch, m, k times batch, k, n; `c` is C-contiguous.

    Only the low `bits` bits of the result need be right; those above may be anything.
    """

def matmul_shares(
    a0: _Array,
    a1: _Array,
    b0: _Array,
    b1: _Array,
    c: _Array,
    bits: int = 64,
    add: bool = False,
    threads: int = 1,
) -> None:
    """`c` (+)= a0 (b0 + b1) + a1 b0, as `matmul`."""

def less_query(words: _Array, ring: int, sizes: _Array, query: _Array, top: _Array) -> None:
    """P0 of a comparison in any ring: the digits of `words`, added to the mask in `query`; their top bits.

    `sizes` are bits of each digit, lowest first, uint8; `query` has 2^size - 1 rows for each, `top` one.
    """

def less_pick(
    words: _Array, ring: int, sizes: _Array, threshold: int, query: _Array, first: bool, bits: _Array
) -> None:
    """P1 (`first`) or P2, with x_2: its shares of G of each digit, then of P of all but the lowest."""

def bit_deal(beta: _Array, x0: _Array, x1: _Array, ring: int, out: _Array) -> None:
    """P0: beta (x_0 + x_1), or beta if both are empty, less the mask in `out`; words of a ring."""

def bit_share(
    gamma: _Array,
    beta: _Array,
    product: _Array,
    x2: _Array,
    other: _Array,
    ring: int,
    first: bool,
    out: _Array,
) -> None:
    """P1 (`first`) or P2: its part of b x, or of b if x is empty, less the mask in `out`.

    From its parts of beta and of beta (x_0 + x_1), from x_2, and from x_1 or x_0.
    """

def gather_bits(bits: _Array, rows: int, out: _Array) -> None:
    """A byte of 0 or 1 for each element, to rows of equally many: eight elements to a byte."""

def scatter_bits(row: _Array, bits: _Array) -> None:
    """A row to a byte of 0 or 1 for each element."""

def oneshot_deal(
    exponential: bool, ring: int, terms: _Array, word_ring: int, u: _Array, masks: _Array, words: _Array
) -> None:
    """P0: the words of every term for each u, masked.

    `u` has a word (`ditto.runtime.protocols.shared.word_of`) for each element; of an exponential, less the
    least argument. `terms` is a table of int64, `Terms.table()`. `masks` and `words` are two streams for each
    term.
    """

def oneshot_combine(
    exponential: bool,
    ring: int,
    terms: _Array,
    word_ring: int,
    drop: int,
    v: _Array,
    words: _Array,
    constant: int,
    carry: int,
    minus: _Array,
    part: _Array,
) -> None:
    """P1 or P2: its additive share of the function for each v, out of shares of the words.

    `constant` is added to the sum of products, then `drop` bits are dropped, then `carry` is added and
    `minus`, a word for each element, taken off. `part` is a stream.
    """

def oneshot_add(mine: _Array, theirs: _Array, ring: int, result: _Array) -> None:
    """Sums of the elements of two streams, as words."""
