// Local steps of one-shot functions. The protocol, with its proofs, is in docs/explanation/protocols.md; the code here
// follows its names. The formulas are those of compiler/ditto_compiler/oneshot/terms.py.
//
// A *table* has a row of six numbers for each term: rate, coefficients, what is kept of the product of a
// coefficient and a cosine, the scale of the factors, the shift. A *stream* holds elements of w bits: 512 at
// a time in vectors of 64 bytes, each lane of which has its elements one behind another; then the rest
// one behind another. A message is the streams of all terms in order, two for each.
//
// Nothing branches on a secret or reads memory by it; shifts by secrets take the same time for all.

#include <algorithm>
#include <type_traits>

#include "common.h"

using namespace ditto;

namespace {

using i32 = std::int32_t;
using i64 = std::int64_t;

constexpr std::size_t GROUP = 512;
constexpr std::size_t VECTOR = 64;

template <class T>
constexpr std::size_t LANES = VECTOR / sizeof(T);

constexpr std::size_t stream_bytes(std::size_t elements, unsigned width) {
    return elements / 8 * width + (elements % 8 * width + 7) / 8;
}

template <class T>
constexpr T low_bits(unsigned width) {
    return static_cast<T>(~T{0}) >> (BITS<T> - width);
}

// The elements of a group, or fewer, to `width` bits each.
template <class T>
DITTO_INLINE void pack(const T* values, std::size_t count, unsigned width, u8* out) {
    const T mask = low_bits<T>(width);
    if (count == GROUP) {
        T pending[LANES<T>] = {};
        unsigned at = 0;
        for (std::size_t row = 0; row < GROUP; row += LANES<T>) {
            for (std::size_t i = 0; i < LANES<T>; ++i) {
                pending[i] |= static_cast<T>((values[row + i] & mask) << at);
            }
            at += width;
            if (at >= BITS<T>) {
                std::memcpy(out, pending, VECTOR);
                out += VECTOR;
                at -= BITS<T>;
                for (std::size_t i = 0; i < LANES<T>; ++i) {
                    pending[i] = at ? static_cast<T>((values[row + i] & mask) >> (width - at)) : T{0};
                }
            }
        }
        return;
    }
    u128 pending = 0;
    unsigned held = 0;
    for (std::size_t i = 0; i < count; ++i) {
        pending |= static_cast<u128>(values[i] & mask) << held;
        for (held += width; held >= 8; held -= 8, pending >>= 8) {
            *out++ = static_cast<u8>(pending);
        }
    }
    if (held) {
        *out = static_cast<u8>(pending);
    }
}

template <class T>
DITTO_INLINE void unpack(const u8* in, std::size_t count, unsigned width, T* values) {
    const T mask = low_bits<T>(width);
    if (count == GROUP) {
        T current[LANES<T>], next[LANES<T>];
        std::memcpy(current, in, VECTOR);
        unsigned at = 0;
        for (std::size_t row = 0; row < GROUP; row += LANES<T>) {
            if (at + width > BITS<T>) {
                in += VECTOR;
                std::memcpy(next, in, VECTOR);
                for (std::size_t i = 0; i < LANES<T>; ++i) {
                    values[row + i] = (current[i] >> at | next[i] << (BITS<T> - at)) & mask;
                }
                std::memcpy(current, next, VECTOR);
                at += width - BITS<T>;
            } else {
                for (std::size_t i = 0; i < LANES<T>; ++i) {
                    values[row + i] = current[i] >> at & mask;
                }
                at += width;
                if (at == BITS<T> && row + LANES<T> < GROUP) {
                    in += VECTOR;
                    std::memcpy(current, in, VECTOR);
                    at = 0;
                }
            }
        }
        return;
    }
    u128 pending = 0;
    unsigned held = 0;
    for (std::size_t i = 0; i < count; ++i) {
        for (; held < width; held += 8) {
            pending |= static_cast<u128>(*in++) << held;
        }
        values[i] = static_cast<T>(pending) & mask;
        pending >>= width;
        held -= width;
    }
}

struct Term {
    i64 rate, first, second, kept, frac, shift;
};

template <class A>
DITTO_INLINE void phases(const A* x, std::size_t count, i64 rate, unsigned ring, u32* phase) {
    const A n = static_cast<A>(rate);
    const unsigned up = BITS<A> - ring;
    for (std::size_t i = 0; i < count; ++i) {
        phase[i] = static_cast<u32>(static_cast<A>(x[i] * n) << up >> (BITS<A> - 32));
    }
}

DITTO_INLINE i32 times(i32 a, i32 b, unsigned drop) {
    return static_cast<i32>(static_cast<u64>(static_cast<i64>(a) * b) >> drop);
}

DITTO_INLINE i32 times_rounded(i32 a, i32 b, unsigned drop) {
    return static_cast<i32>((static_cast<u64>(static_cast<i64>(a) * b) + (u64{1} << (drop - 1))) >> drop);
}

// Cosines and sines of 2^-32 turns, with 30 fraction bits.
DITTO_INLINE void turn(const u32* phase, std::size_t count, i32* __restrict cos, i32* __restrict sin) {
    for (std::size_t i = 0; i < count; ++i) {
        const u32 quadrant = (phase[i] + (1u << 29)) >> 30;
        const i32 y = static_cast<i32>(phase[i] << 2);
        const i32 w = times(y, y, 32);
        i32 s = 664;
        s = -78539 + times(s, w, 30);
        s = 5348079 + times(s, w, 30);
        s = -173399667 + times(s, w, 30);
        s = 1686629713 + times(s, w, 30);
        s = times_rounded(s, y, 32);
        i32 c = 7606;
        c = -699997 + times(c, w, 30);
        c = 34046932 + times(c, w, 30);
        c = -662337939 + times(c, w, 30);
        c = (1 << 30) + times_rounded(c, w, 31);
        const i32 swap = -static_cast<i32>(quadrant & 1);
        const i32 minus_cos = -static_cast<i32>((quadrant + 1) >> 1 & 1);
        const i32 minus_sin = -static_cast<i32>(quadrant >> 1 & 1);
        const i32 exchange = (c ^ s) & swap;
        cos[i] = ((c ^ exchange) ^ minus_cos) - minus_cos;
        sin[i] = ((s ^ exchange) ^ minus_sin) - minus_sin;
    }
}

// 2^e, rounded, for e of 56 fraction bits below 63.
DITTO_INLINE u64 power(i64 exponent) {
    const u64 y = static_cast<u64>(exponent) >> 24 & 0xFFFFFFFF;
    u64 grown = 89043;
    grown = 627479 + (grown * y >> 32);
    grown = 5750554 + (grown * y >> 32);
    grown = 41301092 + (grown * y >> 32);
    grown = 238389752 + (grown * y >> 32);
    grown = 1031764902 + (grown * y >> 32);
    grown = 1488522236 + (grown * y >> 33);
    const u64 mantissa = (u64{1} << 30) + (grown * y >> 33);
    const i64 whole = exponent >> 56;
    const i64 right = 62 - whole;
    const u64 by = static_cast<u64>(right < 63 ? right : 63);
    const u64 half = u64{1} << by >> 1;
    return (((mantissa << 32) + half) >> by) & (u64{0} - static_cast<u64>(whole >= -1));
}

// x as a signed number of `ring` bits.
template <class A>
DITTO_INLINE i64 as_signed(A x, unsigned ring) {
    using S = std::make_signed_t<A>;
    return static_cast<S>(static_cast<A>(x << (BITS<A> - ring))) >> (BITS<A> - ring);
}

// P0's two words of a term, for each u.
template <class A, class T>
DITTO_INLINE void words_of(bool exponential, unsigned ring, const Term& term, const A* u, std::size_t count,
                           T* __restrict zero, T* __restrict one) {
    if (exponential) {
        const A half = A{1} << (ring - 1);
        const u64 sign = static_cast<u64>(term.second);
        for (std::size_t i = 0; i < count; ++i) {
            zero[i] = static_cast<T>(power(term.rate * as_signed<A>(u[i], ring) + term.first) * sign);
        }
        for (std::size_t i = 0; i < count; ++i) {
            one[i] = static_cast<T>(
                power(term.rate * as_signed<A>(static_cast<A>(u[i] + half), ring) + term.first) * sign);
        }
        return;
    }
    u32 phase[GROUP];
    i32 cos[GROUP], sin[GROUP];
    phases<A>(u, count, term.rate, ring, phase);
    turn(phase, count, cos, sin);
    const i32 a = static_cast<i32>(term.first), b = static_cast<i32>(term.second);
    const i64 half = i64{1} << (term.kept - 1);
    const unsigned kept = static_cast<unsigned>(term.kept);
    for (std::size_t i = 0; i < count; ++i) {
        const i64 whole = static_cast<i64>(a) * cos[i] + static_cast<i64>(b) * sin[i];
        zero[i] = static_cast<T>((whole + half) >> kept);
    }
    for (std::size_t i = 0; i < count; ++i) {
        const i64 whole = static_cast<i64>(b) * cos[i] - static_cast<i64>(a) * sin[i];
        one[i] = static_cast<T>((whole + half) >> kept);
    }
}

// A share of one term's value for each v, out of shares of its two words, added to `sums`.
template <class A, class T>
DITTO_INLINE void add_term(bool exponential, unsigned ring, const Term& term, const A* v, std::size_t count,
                           const T* zero, const T* one, T* __restrict sums) {
    const unsigned shift = static_cast<unsigned>(term.shift);
    if (exponential) {
        const A half = A{1} << (ring - 1);
        const i64 frac = term.frac * (i64{1} << 56);
        for (std::size_t i = 0; i < count; ++i) {
            const u64 factor = power(term.rate * static_cast<i64>(v[i] & (half - 1)) + frac);
            const T top = T{0} - static_cast<T>(v[i] >> (ring - 1) & 1);
            const T word = zero[i] ^ ((zero[i] ^ one[i]) & top);
            sums[i] += static_cast<T>(word * static_cast<T>(factor)) << shift;
        }
        return;
    }
    u32 phase[GROUP];
    i32 cos[GROUP], sin[GROUP];
    phases<A>(v, count, term.rate, ring, phase);
    turn(phase, count, cos, sin);
    const unsigned kept = static_cast<unsigned>(30 - term.frac);
    const i32 half = kept ? 1 << (kept - 1) : 0;
    for (std::size_t i = 0; i < count; ++i) {
        const T c = static_cast<T>((cos[i] + half) >> kept), s = static_cast<T>((sin[i] + half) >> kept);
        sums[i] += static_cast<T>(zero[i] * c + one[i] * s) << shift;
    }
}

// P0: the masked words of all terms. The masks are streams like the message.
template <class A, class T>
DITTO_KERNEL deal(bool exponential, unsigned ring, const Term* terms, std::size_t term_count,
                  unsigned word_ring, const u8* u, std::size_t elements, const u8* masks, u8* out) {
    A x[GROUP];
    T words[2][GROUP], mask[GROUP];
    for (std::size_t at = 0; at < elements; at += GROUP) {
        const std::size_t count = std::min(GROUP, elements - at);
        std::memcpy(x, u + at * sizeof(A), count * sizeof(A));
        std::size_t stream = 0;
        for (std::size_t t = 0; t < term_count; ++t) {
            const unsigned width = word_ring - static_cast<unsigned>(terms[t].shift);
            words_of<A, T>(exponential, ring, terms[t], x, count, words[0], words[1]);
            for (T* word : {words[0], words[1]}) {
                const std::size_t begin = stream + at / 8 * width;
                unpack<T>(masks + begin, count, width, mask);
                for (std::size_t i = 0; i < count; ++i) {
                    word[i] -= mask[i];
                }
                pack<T>(word, count, width, out + begin);
                stream += stream_bytes(elements, width);
            }
        }
    }
}

// P1 or P2: its additive share of the result, less a mask, packed. `constant` has the products' scale,
// `carry` the result's.
template <class A, class T, class R>
DITTO_KERNEL combine(bool exponential, unsigned ring, const Term* terms, std::size_t term_count,
                     unsigned word_ring, unsigned drop, const u8* v, std::size_t elements, const u8* shares,
                     u64 constant, u64 carry, const u8* minus, u8* out) {
    const unsigned result_ring = word_ring - drop;
    const T inside = low_bits<T>(word_ring);
    A x[GROUP];
    T zero[GROUP], one[GROUP], sums[GROUP];
    R result[GROUP];
    for (std::size_t at = 0; at < elements; at += GROUP) {
        const std::size_t count = std::min(GROUP, elements - at);
        std::memcpy(x, v + at * sizeof(A), count * sizeof(A));
        for (std::size_t i = 0; i < count; ++i) {
            sums[i] = static_cast<T>(constant);
        }
        std::size_t stream = 0;
        for (std::size_t t = 0; t < term_count; ++t) {
            const unsigned width = word_ring - static_cast<unsigned>(terms[t].shift);
            unpack<T>(shares + stream + at / 8 * width, count, width, zero);
            stream += stream_bytes(elements, width);
            unpack<T>(shares + stream + at / 8 * width, count, width, one);
            stream += stream_bytes(elements, width);
            add_term<A, T>(exponential, ring, terms[t], x, count, zero, one, sums);
        }
        for (std::size_t i = 0; i < count; ++i) {
            result[i] = static_cast<R>(static_cast<R>((sums[i] & inside) >> drop) + static_cast<R>(carry) -
                                       load<R>(minus, at + i));
        }
        pack<R>(result, count, result_ring, out + at / 8 * result_ring);
    }
}

// Sums of the elements of two streams.
template <class R>
DITTO_KERNEL add(const u8* mine, const u8* theirs, unsigned ring, std::size_t elements, u8* __restrict out) {
    R a[GROUP], b[GROUP];
    for (std::size_t at = 0; at < elements; at += GROUP) {
        const std::size_t count = std::min(GROUP, elements - at);
        unpack<R>(mine + at / 8 * ring, count, ring, a);
        unpack<R>(theirs + at / 8 * ring, count, ring, b);
        for (std::size_t i = 0; i < count; ++i) {
            store<R>(out, at + i, static_cast<R>(a[i] + b[i]));
        }
    }
}

constexpr char RING[] = "ring: not from 1 to 64 bits";
constexpr char TABLE[] = "terms: not six numbers for each term, within bounds";
constexpr char ARGUMENT[] = "argument: not one word for each element";
constexpr char STREAMS[] = "words, masks: not two streams for each term";
constexpr char RESULT[] = "result: not one element, or word, for each element";

template <class F>
void with_word(unsigned ring, F f) {
    check(ring >= 1 && ring <= 64, RING);
    if (ring <= 32) {
        f(u32{});
    } else {
        f(u64{});
    }
}

// The terms, after a check that no shift is by more bits than there are.
const Term* read_terms(const In& table, bool exponential, unsigned ring, unsigned word_ring) {
    check(ring >= 2 && ring <= 64, RING);
    check(table.nbytes() % sizeof(Term) == 0 && word_ring >= 1 && word_ring <= 64, TABLE);
    check(reinterpret_cast<std::uintptr_t>(table.data()) % alignof(Term) == 0, TABLE);
    const Term* terms = static_cast<const Term*>(table.data());
    constexpr double LIMIT = 63.0 * (u64{1} << 56);
    for (std::size_t t = 0; t < table.nbytes() / sizeof(Term); ++t) {
        const Term& term = terms[t];
        check(term.shift >= 0 && term.shift < static_cast<i64>(word_ring), TABLE);
        if (exponential) {
            const double rate = static_cast<double>(term.rate);
            const double reach = (rate < 0 ? -rate : rate) * static_cast<double>(u64{1} << (ring - 1));
            const double first = static_cast<double>(term.first);
            check(term.frac >= -64 && term.frac <= 64 && reach < LIMIT, TABLE);
            check(reach + first < LIMIT && first - reach > -2 * LIMIT, TABLE);
            check(reach + static_cast<double>(term.frac) * (u64{1} << 56) < LIMIT, TABLE);
        } else {
            check(term.frac >= 0 && term.frac <= 30 && term.kept >= 1 && term.kept <= 62, TABLE);
        }
    }
    return terms;
}

std::size_t message_bytes(const Term* terms, std::size_t count, unsigned word_ring, std::size_t elements) {
    std::size_t bytes = 0;
    for (std::size_t t = 0; t < count; ++t) {
        bytes += 2 * stream_bytes(elements, word_ring - static_cast<unsigned>(terms[t].shift));
    }
    return bytes;
}

void py_deal(bool exponential, unsigned ring, const In& table, unsigned word_ring, const In& u,
             const In& masks, const Out& out) {
    const Term* terms = read_terms(table, exponential, ring, word_ring);
    const std::size_t count = table.nbytes() / sizeof(Term);
    with_word(ring, [&](auto a) {
        using A = decltype(a);
        const std::size_t n = u.nbytes() / sizeof(A);
        const std::size_t size = message_bytes(terms, count, word_ring, n);
        with_word(word_ring, [&](auto t) {
            using T = decltype(t);
            deal<A, T>(exponential, ring, terms, count, word_ring, read(u, n * sizeof(A), ARGUMENT), n,
                       read(masks, size, STREAMS), write(out, size, STREAMS));
        });
    });
}

void py_combine(bool exponential, unsigned ring, const In& table, unsigned word_ring, unsigned drop,
                const In& v, const In& shares, u64 constant, u64 carry, const In& minus, const Out& out) {
    const Term* terms = read_terms(table, exponential, ring, word_ring);
    const std::size_t count = table.nbytes() / sizeof(Term);
    check(drop < word_ring, RING);
    with_word(ring, [&](auto a) {
        using A = decltype(a);
        const std::size_t n = v.nbytes() / sizeof(A);
        const std::size_t size = message_bytes(terms, count, word_ring, n);
        const unsigned result_ring = word_ring - drop;
        with_word(word_ring, [&](auto t) {
            using T = decltype(t);
            with_word(result_ring, [&](auto r) {
                using R = decltype(r);
                combine<A, T, R>(exponential, ring, terms, count, word_ring, drop,
                                 read(v, n * sizeof(A), ARGUMENT), n, read(shares, size, STREAMS), constant,
                                 carry, read(minus, n * sizeof(R), RESULT),
                                 write(out, stream_bytes(n, result_ring), RESULT));
            });
        });
    });
}

void py_add(const In& mine, const In& theirs, unsigned ring, const Out& out) {
    with_word(ring, [&](auto r) {
        using R = decltype(r);
        const std::size_t n = out.nbytes() / sizeof(R);
        const std::size_t size = stream_bytes(n, ring);
        add<R>(read(mine, size, RESULT), read(theirs, size, RESULT), ring, n,
               write(out, n * sizeof(R), RESULT));
    });
}

}  // namespace

void bind_oneshot(nb::module_& m) {
    using namespace nb::literals;
    const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
    const auto nogil = nb::call_guard<nb::gil_scoped_release>();
    m.def("oneshot_deal", &py_deal, "exponential"_a, "ring"_a, array("terms"), "word_ring"_a, array("u"),
          array("masks"), array("words"), nogil);
    m.def("oneshot_combine", &py_combine, "exponential"_a, "ring"_a, array("terms"), "word_ring"_a, "drop"_a,
          array("v"), array("words"), "constant"_a, "carry"_a, array("minus"), array("part"), nogil);
    m.def("oneshot_add", &py_add, array("mine"), array("theirs"), "ring"_a, array("result"), nogil);
}
