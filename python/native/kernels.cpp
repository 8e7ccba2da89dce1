// Local steps of the casts and of client-side sharing. The protocols, with their proofs, are in
// docs/explanation/protocols.md; the code here follows its names.
//
// Ring elements are little-endian unsigned integers of 32, 64 or 128 bits. A party's *slots* are
// (x_i, x_{i+1}) for each element, interleaved. A *section* holds one word for each element: an
// element of Z_2^(8 * word_bytes), stored as planes. The word's bytes are split by the binary
// digits of word_bytes, largest part first (7 = 4 + 2 + 1); each part has its own contiguous plane.
// So a section has exactly elements * word_bytes bytes, and every load is one that a CPU can
// vectorise. Arrays may start at any address.

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "common.h"

using namespace ditto;

namespace {

// Calls f(Part{}, plane offset in the section, lowest bit of the part in the word) per plane.
template <class F>
DITTO_INLINE void for_each_plane(std::size_t elements, unsigned word_bytes, F f) {
    unsigned done = 0;
    const auto plane = [&](auto part) {
        if (word_bytes & sizeof(part)) {
            f(part, done * elements, 8 * done);
            done += sizeof(part);
        }
    };
    plane(u128{});
    plane(u64{});
    plane(u32{});
    plane(u16{});
    plane(u8{});
}

// The words [first, first + count) of a section of `elements` words.
template <class W>
DITTO_INLINE void load_words(const u8* section, std::size_t elements, unsigned word_bytes,
                             std::size_t first, std::size_t count, W* words) {
    for_each_plane(elements, word_bytes, [&](auto part, std::size_t offset, unsigned bit) {
        using Part = decltype(part);
        if constexpr (sizeof(Part) <= sizeof(W)) {
            const u8* plane = section + offset + first * sizeof(Part);
            for (std::size_t i = 0; i < count; ++i) {
                const W value = static_cast<W>(load<Part>(plane, i));
                words[i] = bit ? static_cast<W>(words[i] | static_cast<W>(value << bit)) : value;
            }
        }
    });
}

template <class W>
DITTO_INLINE void store_words(const W* words, std::size_t elements, unsigned word_bytes,
                              std::size_t first, std::size_t count, u8* section) {
    for_each_plane(elements, word_bytes, [&](auto part, std::size_t offset, unsigned bit) {
        using Part = decltype(part);
        if constexpr (sizeof(Part) <= sizeof(W)) {
            u8* plane = section + offset + first * sizeof(Part);
            for (std::size_t i = 0; i < count; ++i) {
                store<Part>(plane, i, static_cast<Part>(words[i] >> bit));
            }
        }
    });
}

// 2^(k-2): moves the values that a cast allows to [0, 2^(k-1)).
template <class S>
constexpr S OFFSET = S{1} << (BITS<S> - 2);

// Shifts by less than the width. The compiler's own for 128 bits are several times slower.
template <class T>
DITTO_INLINE T shift_left(T x, unsigned bits) {
    if constexpr (sizeof(T) == 16) {
        const u64 low = static_cast<u64>(x);
        if (bits >= 64) {
            return static_cast<T>(low << (bits - 64)) << 64;
        }
        const u64 high = static_cast<u64>(x >> 64) << bits | low >> 1 >> (63 - bits);
        return static_cast<T>(high) << 64 | low << bits;
    } else {
        return static_cast<T>(x << bits);
    }
}

template <class S>
DITTO_INLINE S shift_right(S x, unsigned bits) {
    if constexpr (sizeof(S) == 16) {
        const u64 high = static_cast<u64>(x >> 64);
        if (bits >= 64) {
            return high >> (bits - 64);
        }
        const u64 low = static_cast<u64>(x) >> bits | high << 1 << (63 - bits);
        return static_cast<S>(high >> bits) << 64 | low;
    } else {
        return static_cast<S>(x >> bits);
    }
}

// A slot of Z_2^k with its low `drop` bits dropped, or `left` bits added, in Z_2^K.
template <class S, class T>
DITTO_INLINE T floor_shift(S x, unsigned drop, unsigned left) {
    return shift_left<T>(static_cast<T>(shift_right<S>(x, drop)), left);
}

// The same for the one slot that centres the error. Three floors take off 3/2 (2^drop - 1) source
// units on average; this one gives them back: 2^(drop-1) - 1 before its floor, 2^drop after it.
template <class S, class T>
DITTO_INLINE T centred_shift(S x, unsigned drop, unsigned left) {
    const S unit = drop ? 1 : 0;
    const S half = drop ? static_cast<S>((S{1} << (drop - 1)) - 1) : S{0};
    const S low = static_cast<S>(x & static_cast<S>((S{1} << drop) - 1));
    const S sum = static_cast<S>(shift_right<S>(x, drop) + shift_right<S>(low + half, drop) + unit);
    return shift_left<T>(static_cast<T>(sum), left);
}

// Sections of one cast: how many words, of how many bytes.
struct Words {
    std::size_t count;
    unsigned bytes;
};

// P0, who knows x_0 and x_1, computes F_0 and F_1 (the two values that the wrap count W can have,
// for msb(x_2) = 0 and 1), writes the two sections of its message, and its own result. Masks: two
// rounds a = q, b0 = W_1, first and second = p; one round a = kappa, b = lambda, first = c, second = W_1.
template <class S, class T, class W, bool ONE_ROUND>
DITTO_KERNEL sender(const u8* slots, Words all, unsigned drop, unsigned left, const u8* a0, const u8* a1,
                    const u8* w0, const u8* b0, const u8* b1, u8* __restrict out, u8* __restrict first,
                    u8* __restrict second) {
    const auto [elements, word_bytes] = all;
    const unsigned weight = BITS<S> - drop + left;
    const T offset = floor_shift<S, T>(OFFSET<S>, drop, left);
    W a0s[BLOCK], a1s[BLOCK], w0s[BLOCK], b0s[BLOCK], b1s[BLOCK], firsts[BLOCK], seconds[BLOCK];
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at);
        load_words<W>(a0, elements, word_bytes, at, count, a0s);
        load_words<W>(a1, elements, word_bytes, at, count, a1s);
        load_words<W>(w0, elements, word_bytes, at, count, w0s);
        load_words<W>(b0, elements, word_bytes, at, count, b0s);
        if (ONE_ROUND) {
            load_words<W>(b1, elements, word_bytes, at, count, b1s);
        }
        for (std::size_t i = 0; i < count; ++i) {
            const S x0 = load<S>(slots, 2 * (at + i));
            const S x1 = static_cast<S>(load<S>(slots, 2 * (at + i) + 1) + OFFSET<S>);
            const S u = static_cast<S>(x0 + x1);
            const W w = static_cast<W>(u < x0);
            const W f0 = static_cast<W>(w + static_cast<W>(u >> (BITS<S> - 1)));
            const W f1 = static_cast<W>(w + 1);
            W w1;
            if (ONE_ROUND) {
                const W g0 = static_cast<W>(a0s[i] + b0s[i]);
                w1 = static_cast<W>(f0 - w0s[i] - g0);
                firsts[i] = static_cast<W>(f1 - f0 + g0 - a1s[i] - b1s[i]);
                seconds[i] = w1;
            } else {
                w1 = b0s[i];
                firsts[i] = static_cast<W>(f0 - a0s[i]);
                seconds[i] = static_cast<W>(f1 - a1s[i]);
            }
            const T y0 = floor_shift<S, T>(x0, drop, left);
            const T y1 = floor_shift<S, T>(x1, drop, left);
            store<T>(out, 2 * (at + i),
                     static_cast<T>(y0 - shift_left<T>(static_cast<T>(w0s[i]), weight)));
            store<T>(out, 2 * (at + i) + 1,
                     static_cast<T>(y1 - offset - shift_left<T>(static_cast<T>(w1), weight)));
        }
        store_words<W>(firsts, elements, word_bytes, at, count, first);
        store_words<W>(seconds, elements, word_bytes, at, count, second);
    }
}

// P1 or P2, who know b = msb(x_2): chosen = choice_b - mask. An empty mask is zero.
template <class S, class W, unsigned COLUMN>
DITTO_KERNEL choose(const u8* slots, Words all, const u8* choice0, const u8* choice1, const u8* mask,
                    u8* __restrict chosen) {
    const auto [elements, word_bytes] = all;
    W zeros[BLOCK], ones[BLOCK], masks[BLOCK] = {};
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at);
        load_words<W>(choice0, elements, word_bytes, at, count, zeros);
        load_words<W>(choice1, elements, word_bytes, at, count, ones);
        if (mask != nullptr) {
            load_words<W>(mask, elements, word_bytes, at, count, masks);
        }
        for (std::size_t i = 0; i < count; ++i) {
            const S x2 = load<S>(slots, 2 * (at + i) + COLUMN);
            // A mask instead of a branch: the secret bit must not show in the timing.
            const W select = static_cast<W>(W{0} - static_cast<W>(x2 >> (BITS<S> - 1)));
            zeros[i] = static_cast<W>((zeros[i] ^ (select & (zeros[i] ^ ones[i]))) - masks[i]);
        }
        store_words<W>(zeros, elements, word_bytes, at, count, chosen);
    }
}

// P1 (x_2 in column 1) or P2 (column 0): W_2 = mine + theirs + b * correction, then both results;
// `other` is the wrap share of the slot that is not x_2. An empty correction is zero.
template <class S, class T, class W, unsigned COLUMN>
DITTO_KERNEL finish(const u8* slots, Words all, unsigned drop, unsigned left, const u8* mine,
                    const u8* theirs, const u8* correction, const u8* other, u8* __restrict out) {
    const auto [elements, word_bytes] = all;
    const unsigned weight = BITS<S> - drop + left;
    const S before = COLUMN == 1 ? OFFSET<S> : S{0};
    const T after = COLUMN == 1 ? floor_shift<S, T>(OFFSET<S>, drop, left) : T{0};
    W sums[BLOCK], words[BLOCK], corrections[BLOCK] = {}, others[BLOCK];
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at);
        load_words<W>(mine, elements, word_bytes, at, count, sums);
        load_words<W>(theirs, elements, word_bytes, at, count, words);
        load_words<W>(other, elements, word_bytes, at, count, others);
        if (correction != nullptr) {
            load_words<W>(correction, elements, word_bytes, at, count, corrections);
        }
        for (std::size_t i = 0; i < count; ++i) {
            const S x2 = load<S>(slots, 2 * (at + i) + COLUMN);
            const S x = static_cast<S>(load<S>(slots, 2 * (at + i) + 1 - COLUMN) + before);
            const W select = static_cast<W>(W{0} - static_cast<W>(x2 >> (BITS<S> - 1)));
            const W w2 = static_cast<W>(sums[i] + words[i] + (select & corrections[i]));
            const T y2 = centred_shift<S, T>(x2, drop, left);
            const T y = static_cast<T>(floor_shift<S, T>(x, drop, left) - after);
            store<T>(out, 2 * (at + i) + COLUMN,
                     static_cast<T>(y2 - shift_left<T>(static_cast<T>(w2), weight)));
            store<T>(out, 2 * (at + i) + 1 - COLUMN,
                     static_cast<T>(y - shift_left<T>(static_cast<T>(others[i]), weight)));
        }
    }
}

// A local cast: both slots floored, but for the one in column CENTRED (0, 1; 2 for neither).
template <class S, class T, unsigned CENTRED>
DITTO_KERNEL shift(const u8* slots, std::size_t elements, unsigned drop, unsigned left,
                   u8* __restrict out) {
    for (std::size_t i = 0; i < elements; ++i) {
        const S x0 = load<S>(slots, 2 * i);
        const S x1 = load<S>(slots, 2 * i + 1);
        store<T>(out, 2 * i,
                 CENTRED == 0 ? centred_shift<S, T>(x0, drop, left) : floor_shift<S, T>(x0, drop, left));
        store<T>(out, 2 * i + 1,
                 CENTRED == 1 ? centred_shift<S, T>(x1, drop, left) : floor_shift<S, T>(x1, drop, left));
    }
}

// raw = nearest integer to x * 2^frac, ties to even; false if any |raw| >= 2^(k-2), or is NaN.
template <class F, class S>
DITTO_KERNEL encode(const u8* values, std::size_t elements, unsigned frac, u8* __restrict raw,
                    bool* fits) {
    using Signed = std::conditional_t<sizeof(S) == 4, std::int32_t,
                                      std::conditional_t<sizeof(S) == 8, std::int64_t, __int128>>;
    const F scale = std::ldexp(F{1}, static_cast<int>(frac));
    const F limit = std::ldexp(F{1}, static_cast<int>(BITS<S>) - 2);
    unsigned bad = 0;
    for (std::size_t i = 0; i < elements; ++i) {
        const F scaled = std::nearbyint(load<F>(values, i) * scale);
        const bool ok = std::fabs(scaled) < limit;
        bad |= !ok;
        store<S>(raw, i, static_cast<S>(static_cast<Signed>(ok ? scaled : F{0})));
    }
    *fits = bad == 0;
}

// value = raw * 2^-frac, raw taken as two's complement.
template <class S>
DITTO_KERNEL decode(const u8* raw, std::size_t elements, unsigned frac, u8* __restrict values) {
    using Signed = std::conditional_t<sizeof(S) == 4, std::int32_t,
                                      std::conditional_t<sizeof(S) == 8, std::int64_t, __int128>>;
    const double scale = std::ldexp(1.0, -static_cast<int>(frac));
    for (std::size_t i = 0; i < elements; ++i) {
        store<double>(values, i, static_cast<double>(static_cast<Signed>(load<S>(raw, i))) * scale);
    }
}

// The slots of the three parties for x_0, x_1 as given and x_2 = raw - x_0 - x_1.
template <class S>
DITTO_KERNEL split(const u8* raw, const u8* x0s, const u8* x1s, std::size_t elements,
                   u8* __restrict out0, u8* __restrict out1, u8* __restrict out2) {
    for (std::size_t i = 0; i < elements; ++i) {
        const S x0 = load<S>(x0s, i);
        const S x1 = load<S>(x1s, i);
        const S x2 = static_cast<S>(load<S>(raw, i) - x0 - x1);
        store<S>(out0, 2 * i, x0);
        store<S>(out0, 2 * i + 1, x1);
        store<S>(out1, 2 * i, x1);
        store<S>(out1, 2 * i + 1, x2);
        store<S>(out2, 2 * i, x2);
        store<S>(out2, 2 * i + 1, x0);
    }
}

// raw = x_0 + x_1 + x_2; false if the two copies of any slot differ.
template <class S>
DITTO_KERNEL join(const u8* slots0, const u8* slots1, const u8* slots2, std::size_t elements,
                  u8* __restrict raw, bool* consistent) {
    S differ = 0;
    for (std::size_t i = 0; i < elements; ++i) {
        const S x0 = load<S>(slots0, 2 * i);
        const S x1 = load<S>(slots1, 2 * i);
        const S x2 = load<S>(slots2, 2 * i);
        differ |= (x1 ^ load<S>(slots0, 2 * i + 1)) | (x2 ^ load<S>(slots1, 2 * i + 1)) |
                  (x0 ^ load<S>(slots2, 2 * i + 1));
        store<S>(raw, i, static_cast<S>(x0 + x1 + x2));
    }
    *consistent = differ == 0;
}

// The type that words are computed in: the narrowest of three, to keep the number of kernels down.
template <class F>
void with_word(unsigned word_bytes, F f) {
    if (word_bytes == 0 || word_bytes > 16) {
        throw std::invalid_argument("word_bytes: a word has 1 to 16 bytes");
    }
    if (word_bytes <= 4) return f(u32{});
    if (word_bytes <= 8) return f(u64{});
    return f(u128{});
}

constexpr char SECTION[] = "section: not word_bytes bytes for each element";
constexpr char VALUES[] = "values: not one number for each element";

// Calls f with a zero of the source ring, target ring and word types of an interactive cast.
template <class F>
void with_cast(unsigned source, unsigned target, unsigned drop, unsigned left, unsigned word_bytes,
               F f) {
    check(drop + 2 <= source, "drop: more than the source ring's width less 2");
    check(drop == 0 || left == 0, "drop, left: a cast shifts one way");
    check(source + left < target + drop, "no wrap reaches the result: this cast is local");
    with_ring(source, [&](auto s) {
        with_ring(target, [&](auto t) {
            if constexpr (sizeof(s) <= sizeof(t)) {
                with_word(word_bytes, [&](auto w) {
                    if constexpr (sizeof(w) <= sizeof(t)) {
                        f(s, t, w);
                    } else {
                        check(false, "word_bytes: more than an element of the target ring has");
                    }
                });
            } else {
                check(false, "an interactive cast does not narrow the ring");
            }
        });
    });
}

void send_two_rounds(const In& slots, unsigned source, unsigned target, unsigned drop, unsigned left,
                     unsigned word_bytes, const In& q0, const In& q1, const In& w0, const In& w1,
                     const Out& out, const Out& p0, const Out& p1) {
    const std::size_t n = count_slots(slots, source);
    const std::size_t size = n * word_bytes;
    with_cast(source, target, drop, left, word_bytes, [&](auto s, auto t, auto w) {
        sender<decltype(s), decltype(t), decltype(w), false>(
            read(slots, 2 * n * sizeof(s), SLOTS), {n, word_bytes}, drop, left, read(q0, size, SECTION),
            read(q1, size, SECTION), read(w0, size, SECTION), read(w1, size, SECTION), nullptr,
            write(out, 2 * n * sizeof(t), SLOTS), write(p0, size, SECTION), write(p1, size, SECTION));
    });
}

void send_one_round(const In& slots, unsigned source, unsigned target, unsigned drop, unsigned left,
                    unsigned word_bytes, const In& k0, const In& k1, const In& w0, const In& l0,
                    const In& l1, const Out& out, const Out& c, const Out& w1) {
    const std::size_t n = count_slots(slots, source);
    const std::size_t size = n * word_bytes;
    with_cast(source, target, drop, left, word_bytes, [&](auto s, auto t, auto w) {
        sender<decltype(s), decltype(t), decltype(w), true>(
            read(slots, 2 * n * sizeof(s), SLOTS), {n, word_bytes}, drop, left, read(k0, size, SECTION),
            read(k1, size, SECTION), read(w0, size, SECTION), read(l0, size, SECTION),
            read(l1, size, SECTION), write(out, 2 * n * sizeof(t), SLOTS), write(c, size, SECTION),
            write(w1, size, SECTION));
    });
}

template <unsigned COLUMN>
void choose_for(const In& slots, unsigned source, unsigned word_bytes, const In& zero, const In& one,
                const In& mask, const Out& chosen) {
    const std::size_t n = count_slots(slots, source);
    const std::size_t size = n * word_bytes;
    with_ring(source, [&](auto s) {
        with_word(word_bytes, [&](auto w) {
            choose<decltype(s), decltype(w), COLUMN>(
                read(slots, 2 * n * sizeof(s), SLOTS), {n, word_bytes}, read(zero, size, SECTION),
                read(one, size, SECTION), mask.nbytes() ? read(mask, size, SECTION) : nullptr,
                write(chosen, size, SECTION));
        });
    });
}

template <unsigned COLUMN>
void finish_for(const In& slots, unsigned source, unsigned target, unsigned drop, unsigned left,
                unsigned word_bytes, const In& mine, const In& theirs, const In& correction,
                const In& other, const Out& out) {
    const std::size_t n = count_slots(slots, source);
    const std::size_t size = n * word_bytes;
    with_cast(source, target, drop, left, word_bytes, [&](auto s, auto t, auto w) {
        finish<decltype(s), decltype(t), decltype(w), COLUMN>(
            read(slots, 2 * n * sizeof(s), SLOTS), {n, word_bytes}, drop, left,
            read(mine, size, SECTION), read(theirs, size, SECTION),
            correction.nbytes() ? read(correction, size, SECTION) : nullptr, read(other, size, SECTION),
            write(out, 2 * n * sizeof(t), SLOTS));
    });
}

template <unsigned CENTRED>
void shift_for(const In& slots, unsigned source, unsigned target, unsigned drop, unsigned left,
               const Out& out) {
    const std::size_t n = count_slots(slots, source);
    check(drop < source && left < target, "drop, left: not less than the ring's width");
    with_ring(source, [&](auto s) {
        with_ring(target, [&](auto t) {
            shift<decltype(s), decltype(t), CENTRED>(read(slots, 2 * n * sizeof(s), SLOTS), n, drop,
                                                     left, write(out, 2 * n * sizeof(t), SLOTS));
        });
    });
}

bool py_encode(const In& values, unsigned ring, unsigned frac, const Out& raw) {
    const std::size_t n = values.size();
    bool fits = false;
    check(values.dtype() == nb::dtype<float>() || values.dtype() == nb::dtype<double>(),
          "values: float32 or float64");
    check(frac + 2 <= ring, "frac: more than the ring's width less 2");
    with_ring(ring, [&](auto s) {
        using S = decltype(s);
        u8* to = write(raw, n * sizeof(S), RAW);
        const u8* from = static_cast<const u8*>(values.data());
        if (values.dtype() == nb::dtype<float>()) {
            encode<float, S>(from, n, frac, to, &fits);
        } else {
            encode<double, S>(from, n, frac, to, &fits);
        }
    });
    return fits;
}

void py_decode(const In& raw, unsigned ring, unsigned frac, const Out& values) {
    check(frac < ring, "frac: not less than the ring's width");
    const std::size_t n = values.nbytes() / sizeof(double);
    with_ring(ring, [&](auto s) {
        decode<decltype(s)>(read(raw, n * sizeof(s), RAW), n, frac,
                            write(values, n * sizeof(double), VALUES));
    });
}

void py_split(const In& raw, unsigned ring, const In& x0, const In& x1, const Out& slots0,
              const Out& slots1, const Out& slots2) {
    with_ring(ring, [&](auto s) {
        const std::size_t n = raw.nbytes() / sizeof(s);
        const std::size_t size = n * sizeof(s);
        split<decltype(s)>(read(raw, size, RAW), read(x0, size, RAW), read(x1, size, RAW), n,
                           write(slots0, 2 * size, SLOTS), write(slots1, 2 * size, SLOTS),
                           write(slots2, 2 * size, SLOTS));
    });
}

bool py_join(const In& slots0, const In& slots1, const In& slots2, unsigned ring, const Out& raw) {
    const std::size_t n = count_slots(slots0, ring);
    bool consistent = false;
    with_ring(ring, [&](auto s) {
        const std::size_t size = n * sizeof(s);
        join<decltype(s)>(read(slots0, 2 * size, SLOTS), read(slots1, 2 * size, SLOTS),
                          read(slots2, 2 * size, SLOTS), n, write(raw, size, RAW), &consistent);
    });
    return consistent;
}

}  // namespace

void bind_comparisons(nb::module_& m);
void bind_linear(nb::module_& m);
void bind_bits(nb::module_& m);
void bind_oneshot(nb::module_& m);

NB_MODULE(_native, m) {
    using namespace nb::literals;
    // No conversion: a copy made for a result would be written to and dropped.
    const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
    const auto nogil = nb::call_guard<nb::gil_scoped_release>();
    m.doc() = "Local steps of casts, comparisons and client-side sharing; see python/native.";
    m.def("send_two_rounds", &send_two_rounds, array("slots"), "source"_a, "target"_a, "drop"_a,
          "left"_a, "word_bytes"_a, array("q0"), array("q1"), array("w0"), array("w1"), array("out"),
          array("p0"), array("p1"), nogil);
    m.def("send_one_round", &send_one_round, array("slots"), "source"_a, "target"_a, "drop"_a, "left"_a,
          "word_bytes"_a, array("k0"), array("k1"), array("w0"), array("l0"), array("l1"), array("out"),
          array("c"), array("w1"), nogil);
    m.def("choose_p1", &choose_for<1>, array("slots"), "source"_a, "word_bytes"_a, array("zero"),
          array("one"), array("mask"), array("chosen"), nogil);
    m.def("choose_p2", &choose_for<0>, array("slots"), "source"_a, "word_bytes"_a, array("zero"),
          array("one"), array("mask"), array("chosen"), nogil);
    m.def("finish_p1", &finish_for<1>, array("slots"), "source"_a, "target"_a, "drop"_a, "left"_a,
          "word_bytes"_a, array("mine"), array("theirs"), array("correction"), array("other"),
          array("out"), nogil);
    m.def("finish_p2", &finish_for<0>, array("slots"), "source"_a, "target"_a, "drop"_a, "left"_a,
          "word_bytes"_a, array("mine"), array("theirs"), array("correction"), array("other"),
          array("out"), nogil);
    m.def("shift_p0", &shift_for<2>, array("slots"), "source"_a, "target"_a, "drop"_a, "left"_a,
          array("out"), nogil);
    m.def("shift_p1", &shift_for<1>, array("slots"), "source"_a, "target"_a, "drop"_a, "left"_a,
          array("out"), nogil);
    m.def("shift_p2", &shift_for<0>, array("slots"), "source"_a, "target"_a, "drop"_a, "left"_a,
          array("out"), nogil);
    m.def("encode", &py_encode, array("values"), "ring"_a, "frac"_a, array("raw"), nogil);
    m.def("decode", &py_decode, array("raw"), "ring"_a, "frac"_a, array("values"), nogil);
    m.def("split", &py_split, array("raw"), "ring"_a, array("x0"), array("x1"), array("slots0"),
          array("slots1"), array("slots2"), nogil);
    m.def("join", &py_join, array("slots0"), array("slots1"), array("slots2"), "ring"_a, array("raw"),
          nogil);
    bind_comparisons(m);
    bind_linear(m);
    bind_bits(m);
    bind_oneshot(m);
}
