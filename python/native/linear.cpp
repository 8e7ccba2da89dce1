// Linear algebra on replicated shares: products with their truncation, matrix products of words, and
// ring elements of any width on the wire. The protocols, with their proofs, are in docs/explanation/protocols.md.
//
// Ring elements of k bits stand in words of 32 bits (k <= 32) or 64; bits of a word above the k-th are
// arbitrary. *Packed*, n elements of r bits are exactly ceil(n r / 8) bytes: bit b of element i is bit
// i r + b of the bytes, lowest first.

#include <algorithm>
#include <memory>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "common.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define DITTO_X86 1
#include <immintrin.h>
#endif

using namespace ditto;

namespace {

using Strided = nb::ndarray<nb::ro, nb::device::cpu>;

// Packed elements ---------------------------------------------------------------------------------

template <class T>
DITTO_INLINE T low_mask(unsigned bits) {
    return bits >= BITS<T> ? static_cast<T>(~T{0}) : static_cast<T>((T{1} << bits) - 1);
}

constexpr std::size_t packed_bytes(std::size_t elements, unsigned bits) {
    return elements / 8 * bits + (elements % 8 * bits + 7) / 8;
}

// One element of `bits` bits, from bit `shift` < 8 of `source` on; reads 8 bytes, or 9 if it must.
DITTO_INLINE u64 read_bits(const u8* source, unsigned shift, unsigned bits) {
    u64 word = load<u64>(source, 0) >> shift;
    if (bits > 57) {
        word |= static_cast<u64>(source[8]) << 1 << (63 - shift);
    }
    return word;
}

// Calls f with a zero of the type of `bits` bits, if words of type W hold one; false if there is none.
template <class W, class F>
DITTO_INLINE bool if_whole(unsigned bits, F f) {
    if (bits == 8) {
        f(u8{});
    } else if (bits == 16) {
        f(u16{});
    } else if (bits == 32) {
        f(u32{});
    } else if (bits == 64 && sizeof(W) == 8) {
        f(u64{});
    } else {
        return false;
    }
    return true;
}

// `count` elements, the first at the start of `source`, of which `bytes` may be read. The bits of a word
// above those of its element are 0.
template <class W>
DITTO_INLINE void unpack_block(const u8* source, std::size_t bytes, unsigned bits, std::size_t count, W* out) {
    if (if_whole<W>(bits, [&](auto type) {
            for (std::size_t i = 0; i < count; ++i) {
                out[i] = static_cast<W>(load<decltype(type)>(source, i));
            }
        })) {
        return;
    }
    if constexpr (sizeof(W) == 4) {
        if (bits <= 28 && count == BLOCK) {
            // Pairs first: half as many to read.
            u64 pairs[BLOCK / 2];
            unpack_block<u64>(source, bytes, 2 * bits, BLOCK / 2, pairs);
            const u64 low = low_mask<u64>(bits);
            for (std::size_t i = 0; i < BLOCK / 2; ++i) {
                store<u64>(reinterpret_cast<u8*>(out), i, (pairs[i] & low) | pairs[i] >> bits << 32);
            }
            return;
        }
    }
    const W mask = low_mask<W>(bits);
    unsigned offset[8], shift[8];
    for (unsigned j = 0; j < 8; ++j) {
        offset[j] = j * bits / 8;
        shift[j] = j * bits % 8;
    }
    std::size_t i = 0;
    // Eight elements are `bits` bytes.
    for (; i + 8 <= count && i / 8 * bits + bits + 8 <= bytes; i += 8) {
        const u8* group = source + i / 8 * bits;
#pragma GCC unroll 8
        for (unsigned j = 0; j < 8; ++j) {
            out[i + j] = static_cast<W>(read_bits(group + offset[j], shift[j], bits)) & mask;
        }
    }
    // What is left is read from a copy, behind which there is room.
    u8 rest[160] = {};
    std::memcpy(rest, source + i / 8 * bits, packed_bytes(count - i, bits));
    for (std::size_t j = 0; i + j < count; ++j) {
        const std::size_t bit = j * bits;
        out[i + j] = static_cast<W>(read_bits(rest + bit / 8, bit % 8, bits)) & mask;
    }
}

// Words below 2^bits, 8 <= bits < 64, one behind another. There is a 0 before the first word and room for 7 behind
// the last, and for 8 bytes behind those that they fill.
DITTO_INLINE void pack_words(const u64* words, std::size_t count, unsigned bits, u8* out) {
    // Each word is written at the byte in which it begins, together with the end of the word before, which that
    // byte holds too; so no word waits for another.
    u64 left[8], right[8], joined[8];
    std::size_t offset[8];
    for (unsigned j = 0; j < 8; ++j) {
        left[j] = j * bits % 8;
        right[j] = bits - left[j];
        offset[j] = j * bits / 8;
    }
    for (std::size_t i = 0; i < count; i += 8) {
        for (unsigned j = 0; j < 8; ++j) {
            joined[j] = words[i + j] << left[j] | words[i + j - 1] >> right[j];
        }
#pragma GCC unroll 8
        for (unsigned j = 0; j < 8; ++j) {
            store<u64>(out + i / 8 * bits + offset[j], 0, joined[j]);
        }
    }
}

// Elements in words, of which only the low `bits` count.
template <class W>
DITTO_INLINE void pack_block(const W* words, std::size_t count, unsigned bits, u8* __restrict out) {
    if (if_whole<W>(bits, [&](auto type) {
            for (std::size_t i = 0; i < count; ++i) {
                store<decltype(type)>(out, i, static_cast<decltype(type)>(words[i]));
            }
        })) {
        return;
    }
    const u64 mask = low_mask<u64>(bits);
    u64 room[BLOCK + 16];
    u64* const kept = room + 8;
    u8 packed[(BLOCK + 8) * 8];
    unsigned width = bits;
    std::size_t left = count;
    kept[-1] = 0;
    if (sizeof(W) == 4 && bits < 32) {
        // Pairs, as long as they fit a word: fewer to write.
        left = count / 2;
        for (std::size_t i = 0; i < left; ++i) {
            const u64 pair = load<u64>(reinterpret_cast<const u8*>(words), i);
            kept[i] = (pair & mask) | (pair >> 32 & mask) << bits;
        }
        if (count % 2) {
            kept[left++] = words[count - 1] & mask;
        }
        width = 2 * bits;
    } else {
        for (std::size_t i = 0; i < count; ++i) {
            kept[i] = words[i] & mask;
        }
    }
    kept[left] = 0;
    for (; width < 32; width *= 2) {
        left = (left + 1) / 2;
        for (std::size_t i = 0; i < left; ++i) {
            kept[i] = kept[2 * i] | kept[2 * i + 1] << width;
        }
        kept[left] = 0;
    }
    std::memset(kept + left, 0, 8 * sizeof(u64));
    pack_words(kept, left, width, packed);
    std::memcpy(out, packed, packed_bytes(count, bits));
}

// Words one stride apart.
struct Run {
    const u8* base;
    std::ptrdiff_t stride;
};

// `count` words from `first` on: where they are, if side by side, or else gathered in `room`.
template <class W>
DITTO_INLINE const u8* gathered(Run run, std::size_t first, std::size_t count, W* room) {
    const std::ptrdiff_t step = run.stride * static_cast<std::ptrdiff_t>(sizeof(W));
    const u8* from = run.base + static_cast<std::ptrdiff_t>(first) * step;
    if (run.stride == 1) {
        return from;
    }
    for (std::size_t i = 0; i < count; ++i) {
        room[i] = load<W>(from + static_cast<std::ptrdiff_t>(i) * step, 0);
    }
    return reinterpret_cast<const u8*>(room);
}

template <class W>
DITTO_KERNEL pack(Run words, std::size_t elements, unsigned bits, u8* __restrict out) {
    W block[BLOCK];
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at);
        const u8* from = gathered<W>(words, at, count, block);
        if (from != reinterpret_cast<const u8*>(block)) {
            std::memcpy(block, from, count * sizeof(W));
        }
        pack_block<W>(block, count, bits, out + at / 8 * bits);
    }
}

template <class W>
DITTO_KERNEL unpack(const u8* source, std::size_t elements, unsigned bits, u8* __restrict out) {
    W block[BLOCK];
    const std::size_t bytes = packed_bytes(elements, bits);
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at), done = at / 8 * bits;
        unpack_block<W>(source + done, bytes - done, bits, count, block);
        std::memcpy(out + at * sizeof(W), block, count * sizeof(W));
    }
}

// Shifts of slots -----------------------------------------------------------------------------------

// What the slot that centres the error adds before its floor and after it (docs/explanation/protocols.md: h, e).
template <class S>
struct Centring {
    S half, unit;

    Centring(unsigned drop, bool centred)
        : half(centred && drop ? static_cast<S>((S{1} << (drop - 1)) - 1) : S{0}), unit(centred && drop ? 1 : 0) {}
};

// A word without its low `drop` bits, drop < its width; x + half is a sum of integers.
template <class S>
DITTO_INLINE S dropped(S x, unsigned drop, Centring<S> by) {
    const S low = static_cast<S>(x & static_cast<S>((S{1} << drop) - 1));
    return static_cast<S>((x >> drop) + (static_cast<S>(low + by.half) >> drop) + by.unit);
}

// A product's part of a party: from z_i in ring k, (z_i >> drop) + after - before in the ring of `bits` =
// k - drop, in words and packed.
struct Reshare {
    unsigned drop, bits;
    bool centred;
    const u8 *after, *before;
};

template <class S, class T>
DITTO_INLINE void reshare_block(const S* z, std::size_t at, std::size_t count, std::size_t bytes, const Reshare& how,
                                u8* __restrict own, u8* __restrict message) {
    T after[BLOCK], before[BLOCK];
    const std::size_t done = at / 8 * how.bits;
    unpack_block<T>(how.after + done, bytes - done, how.bits, count, after);
    unpack_block<T>(how.before + done, bytes - done, how.bits, count, before);
    const Centring<S> by(how.drop, how.centred);
    for (std::size_t i = 0; i < count; ++i) {
        after[i] = static_cast<T>(static_cast<T>(dropped<S>(z[i], how.drop, by)) + after[i] - before[i]);
    }
    std::memcpy(own + at * sizeof(T), after, count * sizeof(T));
    pack_block<T>(after, count, how.bits, message + done);
}

template <class S, class T>
DITTO_KERNEL reshare(const u8* z, std::size_t elements, Reshare how, u8* __restrict own, u8* __restrict message) {
    S block[BLOCK];
    const std::size_t bytes = packed_bytes(elements, how.bits);
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at);
        std::memcpy(block, z + at * sizeof(S), count * sizeof(S));
        reshare_block<S, T>(block, at, count, bytes, how, own, message);
    }
}

// z_i = x_i (y_i + y_{i+1}) + x_{i+1} y_i, reshared.
template <class S, class T>
DITTO_KERNEL multiply(Run x0, Run x1, Run y0, Run y1, std::size_t elements, Reshare how, u8* __restrict own,
                      u8* __restrict message) {
    S z[BLOCK], room[4][BLOCK];
    const std::size_t bytes = packed_bytes(elements, how.bits);
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at);
        const u8* a0 = gathered<S>(x0, at, count, room[0]);
        const u8* a1 = gathered<S>(x1, at, count, room[1]);
        const u8* b0 = gathered<S>(y0, at, count, room[2]);
        const u8* b1 = gathered<S>(y1, at, count, room[3]);
        for (std::size_t i = 0; i < count; ++i) {
            const S y = load<S>(b0, i);
            z[i] = static_cast<S>(load<S>(a0, i) * static_cast<S>(y + load<S>(b1, i)) + load<S>(a1, i) * y);
        }
        reshare_block<S, T>(z, at, count, bytes, how, own, message);
    }
}

// Widening ------------------------------------------------------------------------------------------

// A cast from ring `source` to `target`, with wrap words of `bits` bits.
struct Widening {
    unsigned source, target, drop, left, bits;

    // What a multiple of a wrap weighs: 2^weight.
    unsigned weight() const { return source - drop + left; }
};

// The slot x_i of the source ring in the target ring: low bits dropped or zeros added.
template <class S, class T>
DITTO_INLINE T lifted(S x, const Widening& cast, Centring<S> by) {
    return static_cast<T>(static_cast<T>(dropped<S>(x, cast.drop, by)) << cast.left);
}

// P0: F_0 - q_0 and F_1 - q_1 for P1, and its slots of the result. Sections of masks and of the message have
// `section` bytes.
template <class S, class T>
DITTO_KERNEL widen_deal(Run x0s, Run x1s, std::size_t elements, Widening cast, const u8* masks, const u8* w1s,
                        u8* __restrict y0s, u8* __restrict y1s, u8* __restrict message) {
    const std::size_t section = packed_bytes(elements, cast.bits);
    const S ring = low_mask<S>(cast.source), offset = S{1} << (cast.source - 2);
    const unsigned top = cast.source - 1, weight = cast.weight();
    const Centring<S> plain(cast.drop, false);
    const T lifted_offset = lifted<S, T>(offset, cast, plain);
    S room[2][BLOCK];
    T q0[BLOCK], q1[BLOCK], w0[BLOCK], w1[BLOCK];
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at), done = at / 8 * cast.bits;
        const std::size_t left = section - done;
        const u8* a = gathered<S>(x0s, at, count, room[0]);
        const u8* b = gathered<S>(x1s, at, count, room[1]);
        unpack_block<T>(masks + done, left, cast.bits, count, q0);
        unpack_block<T>(masks + section + done, left, cast.bits, count, q1);
        unpack_block<T>(masks + 2 * section + done, left, cast.bits, count, w0);
        unpack_block<T>(w1s + done, left, cast.bits, count, w1);
        for (std::size_t i = 0; i < count; ++i) {
            const S x0 = load<S>(a, i) & ring;
            const S x1 = static_cast<S>(load<S>(b, i) + offset) & ring;
            const S u = static_cast<S>(x0 + x1) & ring;
            const T wrap = u < x0;
            q0[i] = static_cast<T>(wrap + static_cast<T>(u >> top) - q0[i]);
            q1[i] = static_cast<T>(wrap + 1 - q1[i]);
            w0[i] = static_cast<T>(lifted<S, T>(x0, cast, plain) - static_cast<T>(w0[i] << weight));
            w1[i] = static_cast<T>(lifted<S, T>(x1, cast, plain) - lifted_offset - static_cast<T>(w1[i] << weight));
        }
        pack_block<T>(q0, count, cast.bits, message + done);
        pack_block<T>(q1, count, cast.bits, message + section + done);
        std::memcpy(y0s + at * sizeof(T), w0, count * sizeof(T));
        std::memcpy(y1s + at * sizeof(T), w1, count * sizeof(T));
    }
}

// P1 or P2, who know b = msb(x_2): choices_b - mask.
template <class S, class T>
DITTO_KERNEL widen_choose(Run x2s, std::size_t elements, Widening cast, const u8* choices, const u8* mask,
                          u8* __restrict chosen) {
    const std::size_t section = packed_bytes(elements, cast.bits);
    const unsigned top = cast.source - 1;
    S room[BLOCK];
    T zero[BLOCK], one[BLOCK], masks[BLOCK];
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at), done = at / 8 * cast.bits;
        const std::size_t left = section - done;
        const u8* x2 = gathered<S>(x2s, at, count, room);
        unpack_block<T>(choices + done, left, cast.bits, count, zero);
        unpack_block<T>(choices + section + done, left, cast.bits, count, one);
        unpack_block<T>(mask + done, left, cast.bits, count, masks);
        for (std::size_t i = 0; i < count; ++i) {
            // A mask instead of a branch: the secret bit must not show in the timing.
            const T select = static_cast<T>(T{0} - static_cast<T>(load<S>(x2, i) >> top & 1));
            zero[i] = static_cast<T>((zero[i] ^ (select & (zero[i] ^ one[i]))) - masks[i]);
        }
        pack_block<T>(zero, count, cast.bits, chosen + done);
    }
}

// P1 or P2: its slots y_2, with W_2 = mine + theirs, and y of the slot x that only one of them shares with P0,
// with `other` its wrap; `offset` says that x is x_1, to which P0 added 2^(k-2).
template <class S, class T>
DITTO_KERNEL widen_finish(Run x2s, Run xs, std::size_t elements, Widening cast, bool with_offset, const u8* mine,
                          const u8* theirs, const u8* other, u8* __restrict y2s, u8* __restrict ys) {
    const std::size_t section = packed_bytes(elements, cast.bits);
    const S ring = low_mask<S>(cast.source), offset = with_offset ? S{1} << (cast.source - 2) : S{0};
    const unsigned weight = cast.weight();
    const Centring<S> plain(cast.drop, false), centred(cast.drop, true);
    const T lifted_offset = lifted<S, T>(offset, cast, plain);
    S room[2][BLOCK];
    T a[BLOCK], b[BLOCK], w[BLOCK];
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at), done = at / 8 * cast.bits;
        const std::size_t left = section - done;
        const u8* x2 = gathered<S>(x2s, at, count, room[0]);
        const u8* x = gathered<S>(xs, at, count, room[1]);
        unpack_block<T>(mine + done, left, cast.bits, count, a);
        unpack_block<T>(theirs + done, left, cast.bits, count, b);
        unpack_block<T>(other + done, left, cast.bits, count, w);
        for (std::size_t i = 0; i < count; ++i) {
            const S masked = static_cast<S>(load<S>(x, i) + offset) & ring;
            a[i] = static_cast<T>(lifted<S, T>(load<S>(x2, i) & ring, cast, centred) -
                                  static_cast<T>(static_cast<T>(a[i] + b[i]) << weight));
            w[i] = static_cast<T>(lifted<S, T>(masked, cast, plain) - lifted_offset -
                                  static_cast<T>(w[i] << weight));
        }
        std::memcpy(y2s + at * sizeof(T), a, count * sizeof(T));
        std::memcpy(ys + at * sizeof(T), w, count * sizeof(T));
    }
}

// A local cast of a slot: low bits dropped, centred or not, or zeros added, in the words of the target.
template <class S, class T>
DITTO_KERNEL shift(Run xs, std::size_t elements, unsigned drop, unsigned left, bool centred, u8* __restrict ys) {
    const Centring<S> by(drop, centred);
    S room[BLOCK];
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at);
        const u8* x = gathered<S>(xs, at, count, room);
        for (std::size_t i = 0; i < count; ++i) {
            const T y = static_cast<T>(dropped<S>(load<S>(x, i), drop, by));
            store<T>(ys, at + i, static_cast<T>(y << left));
        }
    }
}

// Matrix products -----------------------------------------------------------------------------------
//
// C (+)= A0 (B0 + B1) + A1 B0, or A0 B0 alone, for a batch of matrices modulo 2^32 or 2^64, by panels: B is copied
// into panels of NR columns, where slots are added up, and A into panels of MR rows; a microkernel multiplies
// two panels. Few rows go without: B is then read once, where it stands.

// A batch of matrices: strides in elements.
template <class T>
struct Matrix {
    const T* base = nullptr;
    std::ptrdiff_t batch = 0, row = 0, column = 0;

    Matrix at(std::size_t b, std::size_t i, std::size_t j) const {
        Matrix moved = *this;
        moved.base += static_cast<std::ptrdiff_t>(b) * batch + static_cast<std::ptrdiff_t>(i) * row +
                      static_cast<std::ptrdiff_t>(j) * column;
        return moved;
    }
    explicit operator bool() const { return base != nullptr; }
};

template <class T>
struct Product {
    Matrix<T> a0, a1, b0, b1;
    T* c;
    std::size_t batch, m, k, n;
    bool add;
    // Of the sums' words, those that must be right.
    unsigned bits;
};

constexpr std::size_t KC = 192, NC = 384, MC = 384;

template <class T, unsigned BYTES, unsigned MR, unsigned NV>
struct Micro {
    static constexpr unsigned ROWS = MR, COLUMNS = NV * BYTES / sizeof(T);

    // Of a panel's depth, what the microkernel takes at once; and words of a panel.
    static constexpr std::size_t steps(std::size_t depth) { return depth; }
    static constexpr std::size_t words(std::size_t depth, std::size_t across) { return depth * across; }

    DITTO_INLINE void pack_a(const Matrix<T>& a, std::size_t rows, std::size_t depth, T* __restrict out) {
        for (std::size_t p = 0; p < depth; ++p) {
            for (std::size_t i = 0; i < MR; ++i) {
                out[p * MR + i] = i < rows ? a.at(0, i, p).base[0] : T{0};
            }
        }
    }

    DITTO_INLINE void pack_b(const Matrix<T>& b, const Matrix<T>& b1, std::size_t columns, std::size_t depth,
                             T* __restrict out) {
        if (columns < COLUMNS) {
            std::memset(out, 0, words(depth, COLUMNS) * sizeof(T));
        }
        const auto sum = [&](std::size_t columns_of_b, std::ptrdiff_t row, std::ptrdiff_t column, auto by_columns) {
            // Strides that are known let the compiler move many at a time.
            const std::size_t outer = by_columns ? columns_of_b : depth, inner = by_columns ? depth : columns_of_b;
            const std::ptrdiff_t outer_step = by_columns ? column : row, inner_step = by_columns ? row : column;
            const std::size_t outer_to = by_columns ? 1 : COLUMNS, inner_to = by_columns ? COLUMNS : 1;
            for (std::size_t o = 0; o < outer; ++o) {
                const T* x = b.base + static_cast<std::ptrdiff_t>(o) * outer_step;
                const T* y = b1.base + (b1 ? static_cast<std::ptrdiff_t>(o) * outer_step : 0);
                T* const to = out + o * outer_to;
                if (b1) {
                    for (std::size_t i = 0; i < inner; ++i) {
                        const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(i) * inner_step;
                        to[i * inner_to] = static_cast<T>(x[at] + y[at]);
                    }
                } else {
                    for (std::size_t i = 0; i < inner; ++i) {
                        to[i * inner_to] = x[static_cast<std::ptrdiff_t>(i) * inner_step];
                    }
                }
            }
        };
        if (b1 && (b1.row != b.row || b1.column != b.column)) {
            for (std::size_t p = 0; p < depth; ++p) {
                for (std::size_t j = 0; j < columns; ++j) {
                    out[p * COLUMNS + j] = static_cast<T>(b.at(0, p, j).base[0] + b1.at(0, p, j).base[0]);
                }
            }
        } else if (b.column == 1 && columns == COLUMNS) {
            sum(COLUMNS, b.row, 1, std::false_type{});
        } else if (b.column == 2 && columns == COLUMNS) {
            sum(COLUMNS, b.row, 2, std::false_type{});
        } else if (b.row == 1) {
            sum(columns, 1, b.column, std::true_type{});
        } else {
            sum(columns, b.row, b.column, std::true_type{});
        }
    }

    DITTO_INLINE void multiply(const T* a, const T* b, std::size_t steps, T* tile) {
        typedef T V __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));
        V sums[MR][NV] = {};
        for (std::size_t p = 0; p < steps; ++p) {
            V row[NV];
#pragma GCC unroll 8
            for (unsigned v = 0; v < NV; ++v) {
                row[v] = *reinterpret_cast<const V*>(b + p * COLUMNS + v * (BYTES / sizeof(T)));
            }
#pragma GCC unroll 8
            for (unsigned i = 0; i < MR; ++i) {
#pragma GCC unroll 8
                for (unsigned v = 0; v < NV; ++v) {
                    sums[i][v] += row[v] * a[p * MR + i];
                }
            }
        }
#pragma GCC unroll 8
        for (unsigned i = 0; i < MR; ++i) {
#pragma GCC unroll 8
            for (unsigned v = 0; v < NV; ++v) {
                *reinterpret_cast<V*>(tile + i * COLUMNS + v * (BYTES / sizeof(T))) = sums[i][v];
            }
        }
    }
};

// The product of two panels into C.
template <class T, std::size_t NR>
DITTO_INLINE void add_tile(const T* tile, std::size_t rows, std::size_t columns, bool first, T* __restrict c,
                           std::size_t c_row) {
    for (std::size_t i = 0; i < rows; ++i, tile += NR, c += c_row) {
        if (first) {
            std::memcpy(c, tile, columns * sizeof(T));
        } else if (columns == NR) {
            for (std::size_t j = 0; j < NR; ++j) {
                c[j] = static_cast<T>(c[j] + tile[j]);
            }
        } else {
            for (std::size_t j = 0; j < columns; ++j) {
                c[j] = static_cast<T>(c[j] + tile[j]);
            }
        }
    }
}

#if DITTO_X86
#define DITTO_AVX2 __attribute__((target("avx2,bmi2,fma"), flatten))
#define DITTO_AVX512 __attribute__((target("avx2,bmi2,fma,avx512f,avx512bw,avx512dq,avx512vl"), flatten))
#define DITTO_VNNI __attribute__((target("avx2,bmi2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"), flatten))
#define DITTO_IFMA __attribute__((target("avx2,bmi2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512ifma"), flatten))

// Modulo 2^52, or less: one instruction multiplies and adds eight words of 64 bits.
struct Ifma : Micro<u64, 64, 8, 2> {
    DITTO_IFMA static void multiply(const u64* a, const u64* b, std::size_t steps, u64* tile) {
        __m512i sums[ROWS][2] = {};
        for (std::size_t p = 0; p < steps; ++p) {
            const __m512i low = _mm512_loadu_si512(b + p * COLUMNS), high = _mm512_loadu_si512(b + p * COLUMNS + 8);
#pragma GCC unroll 8
            for (unsigned i = 0; i < ROWS; ++i) {
                const __m512i x = _mm512_set1_epi64(static_cast<long long>(a[p * ROWS + i]));
                sums[i][0] = _mm512_madd52lo_epu64(sums[i][0], x, low);
                sums[i][1] = _mm512_madd52lo_epu64(sums[i][1], x, high);
            }
        }
#pragma GCC unroll 8
        for (unsigned i = 0; i < ROWS; ++i) {
            _mm512_storeu_si512(tile + i * COLUMNS, sums[i][0]);
            _mm512_storeu_si512(tile + i * COLUMNS + 8, sums[i][1]);
        }
    }
};

// Modulo 2^32, by halves of 16 bits: x = l + 2^16 h with l in [-2^15, 2^15), and
// xy = l_x l_y + 2^16 (l_x h_y + h_x l_y) mod 2^32. An instruction multiplies and adds sixteen pairs of pairs: of
// l_x l_y for two k, or both l_x h_y and h_x l_y for one. So a pair of k is three words: both l, then (l, h) of each
// k; in A's panels (h, l).
struct Vnni {
    static constexpr unsigned ROWS = 6, COLUMNS = 32;
    using Plain = Micro<u32, 64, ROWS, 2>;

    static constexpr std::size_t steps(std::size_t depth) { return (depth + 1) / 2; }
    static constexpr std::size_t words(std::size_t depth, std::size_t across) { return 3 * steps(depth) * across; }

    // From `lanes` words of each k, to three times as many for each pair of k.
    template <unsigned LANES, unsigned TURN>
    DITTO_INLINE void split(const u32* plain, std::size_t depth, u32* __restrict out) {
        for (std::size_t p = 0; p < steps(depth); ++p) {
            for (unsigned i = 0; i < LANES; ++i) {
                const u32 x = plain[2 * p * LANES + i], y = plain[(2 * p + 1) * LANES + i];
                const u32 xs = (x & 0xFFFF) | ((x + 0x8000) & 0xFFFF0000);
                const u32 ys = (y & 0xFFFF) | ((y + 0x8000) & 0xFFFF0000);
                out[3 * p * LANES + i] = (x & 0xFFFF) | y << 16;
                out[(3 * p + 1) * LANES + i] = xs << TURN | xs >> (32 - TURN) % 32;
                out[(3 * p + 2) * LANES + i] = ys << TURN | ys >> (32 - TURN) % 32;
            }
        }
    }

    DITTO_INLINE void pack_a(const Matrix<u32>& a, std::size_t rows, std::size_t depth, u32* __restrict out) {
        u32 plain[ROWS * (KC + 1)];
        Plain::pack_a(a, rows, depth, plain);
        std::memset(plain + depth * ROWS, 0, ROWS * sizeof(u32));
        split<ROWS, 16>(plain, depth, out);
    }

    DITTO_INLINE void pack_b(const Matrix<u32>& b, const Matrix<u32>& b1, std::size_t columns, std::size_t depth,
                             u32* __restrict out) {
        u32 plain[COLUMNS * (KC + 1)];
        Plain::pack_b(b, b1, columns, depth, plain);
        std::memset(plain + depth * COLUMNS, 0, COLUMNS * sizeof(u32));
        split<COLUMNS, 0>(plain, depth, out);
    }

    // sum += xy, of pairs. GCC 12 moves sums to and fro for its own builtin, which takes twice as long.
#define DITTO_ADD_PAIRS(sum, x, y) asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y))

    // On its own: GCC 12 keeps the sums in memory where this is inlined.
    __attribute__((noinline, target("avx512f,avx512vnni"))) static void multiply(const u32* a, const u32* b,
                                                                                 std::size_t steps, u32* tile) {
        typedef u32 Words __attribute__((vector_size(64)));
        __m512i low0[ROWS] = {}, low1[ROWS] = {}, high0[ROWS] = {}, high1[ROWS] = {};
        for (std::size_t p = 0; p < steps; ++p) {
            const u32* x = a + p * 3 * ROWS;
            const u32* y = b + p * 3 * COLUMNS;
            __m512i y0 = _mm512_loadu_si512(y), y1 = _mm512_loadu_si512(y + 16);
#pragma GCC unroll 8
            for (unsigned i = 0; i < ROWS; ++i) {
                const __m512i xs = _mm512_set1_epi32(static_cast<int>(x[i]));
                DITTO_ADD_PAIRS(low0[i], xs, y0);
                DITTO_ADD_PAIRS(low1[i], xs, y1);
            }
            y0 = _mm512_loadu_si512(y + COLUMNS), y1 = _mm512_loadu_si512(y + COLUMNS + 16);
#pragma GCC unroll 8
            for (unsigned i = 0; i < ROWS; ++i) {
                const __m512i xs = _mm512_set1_epi32(static_cast<int>(x[ROWS + i]));
                DITTO_ADD_PAIRS(high0[i], xs, y0);
                DITTO_ADD_PAIRS(high1[i], xs, y1);
            }
            y0 = _mm512_loadu_si512(y + 2 * COLUMNS), y1 = _mm512_loadu_si512(y + 2 * COLUMNS + 16);
#pragma GCC unroll 8
            for (unsigned i = 0; i < ROWS; ++i) {
                const __m512i xs = _mm512_set1_epi32(static_cast<int>(x[2 * ROWS + i]));
                DITTO_ADD_PAIRS(high0[i], xs, y0);
                DITTO_ADD_PAIRS(high1[i], xs, y1);
            }
        }
#pragma GCC unroll 8
        for (unsigned i = 0; i < ROWS; ++i) {
            const Words sum0 = reinterpret_cast<Words>(low0[i]) + (reinterpret_cast<Words>(high0[i]) << 16);
            const Words sum1 = reinterpret_cast<Words>(low1[i]) + (reinterpret_cast<Words>(high1[i]) << 16);
            _mm512_storeu_si512(tile + i * COLUMNS, reinterpret_cast<__m512i>(sum0));
            _mm512_storeu_si512(tile + i * COLUMNS + 16, reinterpret_cast<__m512i>(sum1));
        }
    }
};
#endif

constexpr std::size_t panels_of(std::size_t size, std::size_t width) { return (size + width - 1) / width; }

// Words of A's panels that are there at a time, and of all panels.
template <class T, class M>
std::size_t a_words(const Product<T>& p) {
    const std::size_t panel = M::words(std::min(KC, p.k), M::ROWS);
    return (p.a1 ? 2 : 1) * panel * panels_of(std::min(MC, p.m), M::ROWS);
}

template <class T, class M>
std::size_t panel_room(const Product<T>& p) {
    const std::size_t panel = M::words(std::min(KC, p.k), M::COLUMNS);
    return a_words<T, M>(p) + (p.a1 ? 2 : 1) * panel * panels_of(std::min(NC, p.n), M::COLUMNS);
}

// One batch, and columns [from, to) of C.
template <class T, class M>
DITTO_INLINE void by_panels(const Product<T>& p, std::size_t batch, std::size_t from, std::size_t to, T* room) {
    constexpr std::size_t MR = M::ROWS, NR = M::COLUMNS;
    const std::size_t terms = p.a1 ? 2 : 1;
    T* const a_room = room;
    T* const b_room = room + a_words<T, M>(p);
    T tile[MR * NR];
    for (std::size_t pc = 0; pc < p.k; pc += KC) {
        const std::size_t depth = std::min(KC, p.k - pc);
        const std::size_t a_term = M::words(depth, MR), b_term = M::words(depth, NR);
        for (std::size_t ic = 0; ic < p.m; ic += MC) {
            const std::size_t rows = std::min(MC, p.m - ic);
            for (std::size_t i = 0; i < rows; i += MR) {
                T* const panel = a_room + i / MR * terms * a_term;
                M::pack_a(p.a0.at(batch, ic + i, pc), std::min(MR, rows - i), depth, panel);
                if (p.a1) {
                    M::pack_a(p.a1.at(batch, ic + i, pc), std::min(MR, rows - i), depth, panel + a_term);
                }
            }
            for (std::size_t jc = from; jc < to; jc += NC) {
                const std::size_t columns = std::min(NC, to - jc);
                for (std::size_t j = 0; j < columns; j += NR) {
                    T* const panel = b_room + j / NR * terms * b_term;
                    const Matrix<T> first = p.b0.at(batch, pc, jc + j), none;
                    const std::size_t width = std::min(NR, columns - j);
                    M::pack_b(first, p.b1 ? p.b1.at(batch, pc, jc + j) : none, width, depth, panel);
                    if (p.a1) {
                        M::pack_b(first, none, width, depth, panel + b_term);
                    }
                }
                for (std::size_t j = 0; j < columns; j += NR) {
                    for (std::size_t i = 0; i < rows; i += MR) {
                        M::multiply(a_room + i / MR * terms * a_term, b_room + j / NR * terms * b_term,
                                    terms * M::steps(depth), tile);
                        add_tile<T, NR>(tile, std::min(MR, rows - i), std::min(NR, columns - j), pc == 0 && !p.add,
                                        p.c + (batch * p.m + ic + i) * p.n + jc + j, p.n);
                    }
                }
            }
        }
    }
}

// Few rows ---------------------------------------------------------------------------------------------

// Most rows of A for which B is not copied.
constexpr std::size_t FEW = 16;

// Rows of B that are under way at once, and columns whose sums stay in the second-level cache meanwhile.
constexpr std::size_t DEEP = 8, WIDE = 2048;

template <class T>
bool joint(const Product<T>& p) {
    return p.b1.base == p.b0.base + 1 && p.b1.batch == p.b0.batch && p.b1.row == p.b0.row &&
           p.b1.column == p.b0.column;
}

// How B stands in memory: side by side along its rows or columns, in arrays of their own for each slot, or with
// slots in turn.
enum class Standing { ELSE, APART, JOINT };

template <class T>
Standing standing(const Product<T>& p, std::ptrdiff_t Matrix<T>::*along) {
    if (p.b0.*along == 1 && (!p.b1 || p.b1.*along == 1)) {
        return Standing::APART;
    }
    return p.b1 && p.b0.*along == 2 && joint(p) ? Standing::JOINT : Standing::ELSE;
}

template <class T, unsigned BYTES>
struct Few {
    static constexpr std::size_t LANES = BYTES / sizeof(T);
    typedef T V __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));
    typedef T Aligned __attribute__((vector_size(BYTES), may_alias));

    // Of two vectors one behind another, the elements in even places, and those in odd ones.
    template <std::size_t... I>
    DITTO_INLINE void apart(const Aligned& low, const Aligned& high, Aligned& even, Aligned& odd,
                            std::index_sequence<I...>) {
        even = __builtin_shuffle(low, high, Aligned{static_cast<T>(2 * I)...});
        odd = __builtin_shuffle(low, high, Aligned{static_cast<T>(2 * I + 1)...});
    }

    // Slots of LANES elements, as B0 + B1 and B0.
    template <bool PAIR, bool IN_TURN>
    DITTO_INLINE void load_slots(const T* b0, const T* b1, Aligned& sum, Aligned& first) {
        if constexpr (IN_TURN) {
            const Aligned low = *reinterpret_cast<const V*>(b0), high = *reinterpret_cast<const V*>(b0 + LANES);
            apart(low, high, first, sum, std::make_index_sequence<LANES>{});
            sum += first;
        } else {
            first = *reinterpret_cast<const V*>(b0);
            sum = PAIR ? first + *reinterpret_cast<const V*>(b1) : first;
        }
    }

    // `depth` rows of B, side by side, times R rows of A, which come as depth x 2 x R, added to C.
    template <unsigned R, bool PAIR, bool IN_TURN>
    DITTO_INLINE void rows(const T* a, const T* b0, const T* b1, std::ptrdiff_t row, std::size_t depth,
                           std::size_t columns, T* c, std::size_t c_row) {
        constexpr std::size_t STEP = IN_TURN ? 2 : 1;
        // Where the next rows are: nothing but this would have them fetched in time.
        const std::ptrdiff_t ahead = static_cast<std::ptrdiff_t>(DEEP) * row;
        std::size_t j = 0;
        for (; j + LANES <= columns; j += LANES) {
            Aligned sums[R];
#pragma GCC unroll 8
            for (unsigned r = 0; r < R; ++r) {
                sums[r] = *reinterpret_cast<const V*>(c + r * c_row + j);
            }
            for (std::size_t q = 0; q < depth; ++q) {
                const std::ptrdiff_t at =
                    static_cast<std::ptrdiff_t>(q) * row + static_cast<std::ptrdiff_t>(j * STEP);
                Aligned sum, first;
                __builtin_prefetch(b0 + at + ahead);
                if (IN_TURN) {
                    __builtin_prefetch(b0 + at + ahead + LANES);
                } else if (PAIR) {
                    __builtin_prefetch(b1 + at + ahead);
                }
                load_slots<PAIR, IN_TURN>(b0 + at, b1 + at, sum, first);
#pragma GCC unroll 8
                for (unsigned r = 0; r < R; ++r) {
                    sums[r] += sum * a[2 * R * q + r];
                    if (PAIR) {
                        sums[r] += first * a[2 * R * q + R + r];
                    }
                }
            }
#pragma GCC unroll 8
            for (unsigned r = 0; r < R; ++r) {
                *reinterpret_cast<V*>(c + r * c_row + j) = sums[r];
            }
        }
        for (; j < columns; ++j) {
            for (std::size_t q = 0; q < depth; ++q) {
                const std::ptrdiff_t at =
                    static_cast<std::ptrdiff_t>(q) * row + static_cast<std::ptrdiff_t>(j * STEP);
                const T first = b0[at], sum = PAIR ? static_cast<T>(first + b1[at]) : first;
                for (unsigned r = 0; r < R; ++r) {
                    const T more = PAIR ? static_cast<T>(first * a[2 * R * q + R + r]) : T{0};
                    c[r * c_row + j] = static_cast<T>(c[r * c_row + j] + sum * a[2 * R * q + r] + more);
                }
            }
        }
    }

    template <unsigned R, bool PAIR, bool IN_TURN>
    DITTO_INLINE void some_rows(const Product<T>& p, std::size_t batch, std::size_t i, std::size_t k,
                                std::size_t depth, std::size_t j, std::size_t columns) {
        T a[DEEP * 2 * R];
        for (std::size_t q = 0; q < depth; ++q) {
            for (unsigned r = 0; r < R; ++r) {
                a[2 * R * q + r] = p.a0.at(batch, i + r, k + q).base[0];
                a[2 * R * q + R + r] = PAIR ? p.a1.at(batch, i + r, k + q).base[0] : T{0};
            }
        }
        rows<R, PAIR, IN_TURN>(a, p.b0.at(batch, k, j).base, PAIR ? p.b1.at(batch, k, j).base : nullptr, p.b0.row,
                               depth, columns, p.c + (batch * p.m + i) * p.n + j, p.n);
    }

    // C by rows of B.
    template <bool PAIR, bool IN_TURN>
    DITTO_INLINE void by_rows(const Product<T>& p, std::size_t batch, std::size_t from, std::size_t to) {
        for (std::size_t j = from; j < to; j += WIDE) {
            const std::size_t columns = std::min(WIDE, to - j);
            for (std::size_t i = 0; i < p.m && !p.add; ++i) {
                std::memset(p.c + (batch * p.m + i) * p.n + j, 0, columns * sizeof(T));
            }
            for (std::size_t k = 0; k < p.k; k += DEEP) {
                const std::size_t depth = std::min(DEEP, p.k - k);
                std::size_t i = 0;
                for (; i + 8 <= p.m; i += 8) {
                    some_rows<8, PAIR, IN_TURN>(p, batch, i, k, depth, j, columns);
                }
                if (i + 4 <= p.m) {
                    some_rows<4, PAIR, IN_TURN>(p, batch, i, k, depth, j, columns);
                    i += 4;
                }
                for (; i < p.m; ++i) {
                    some_rows<1, PAIR, IN_TURN>(p, batch, i, k, depth, j, columns);
                }
            }
        }
    }

    // R rows of A, each with its elements side by side, times Q columns of B, likewise, added to C.
    template <unsigned R, unsigned Q, bool PAIR, bool IN_TURN>
    DITTO_INLINE void dots(const T* a0, const T* a1, std::ptrdiff_t a_row, const T* b0, const T* b1,
                           std::ptrdiff_t b_column, std::size_t depth, T* c, std::size_t c_row) {
        constexpr std::size_t STEP = IN_TURN ? 2 : 1;
        Aligned sums[R][Q] = {};
        std::size_t k = 0;
        for (; k + LANES <= depth; k += LANES) {
            Aligned sum[Q], first[Q];
#pragma GCC unroll 8
            for (unsigned q = 0; q < Q; ++q) {
                const std::ptrdiff_t at = q * b_column + static_cast<std::ptrdiff_t>(k * STEP);
                load_slots<PAIR, IN_TURN>(b0 + at, b1 + at, sum[q], first[q]);
            }
#pragma GCC unroll 8
            for (unsigned r = 0; r < R; ++r) {
                const Aligned x = *reinterpret_cast<const V*>(a0 + r * a_row + k);
#pragma GCC unroll 8
                for (unsigned q = 0; q < Q; ++q) {
                    sums[r][q] += x * sum[q];
                }
                if (PAIR) {
                    const Aligned y = *reinterpret_cast<const V*>(a1 + r * a_row + k);
#pragma GCC unroll 8
                    for (unsigned q = 0; q < Q; ++q) {
                        sums[r][q] += y * first[q];
                    }
                }
            }
        }
        for (unsigned r = 0; r < R; ++r) {
            for (unsigned q = 0; q < Q; ++q) {
                T total = c[r * c_row + q];
                for (std::size_t lane = 0; lane < LANES; ++lane) {
                    total = static_cast<T>(total + sums[r][q][lane]);
                }
                for (std::size_t rest = k; rest < depth; ++rest) {
                    const std::ptrdiff_t at = q * b_column + static_cast<std::ptrdiff_t>(rest * STEP);
                    const T sum = PAIR ? static_cast<T>(b0[at] + b1[at]) : b0[at];
                    total = static_cast<T>(total + a0[r * a_row + rest] * sum);
                    if (PAIR) {
                        total = static_cast<T>(total + a1[r * a_row + rest] * b0[at]);
                    }
                }
                c[r * c_row + q] = total;
            }
        }
    }

    // C by columns of B. `room` is for rows of A, where their elements are not side by side.
    template <bool PAIR, bool IN_TURN>
    DITTO_INLINE void by_columns(const Product<T>& p, std::size_t batch, std::size_t from, std::size_t to, T* room) {
        Matrix<T> a[2] = {p.a0.at(batch, 0, 0), PAIR ? p.a1.at(batch, 0, 0) : p.a0.at(batch, 0, 0)};
        std::ptrdiff_t a_row = p.a0.row;
        if (a[0].column != 1 || a[1].column != 1 || a[0].row != a[1].row) {
            for (unsigned slot = 0; slot < (PAIR ? 2 : 1); ++slot) {
                for (std::size_t i = 0; i < p.m; ++i) {
                    for (std::size_t k = 0; k < p.k; ++k) {
                        room[(slot * p.m + i) * p.k + k] = a[slot].at(0, i, k).base[0];
                    }
                }
                a[slot].base = room + slot * p.m * p.k;
            }
            a_row = static_cast<std::ptrdiff_t>(p.k);
        }
        for (std::size_t i = 0; i < p.m && !p.add; ++i) {
            std::memset(p.c + (batch * p.m + i) * p.n + from, 0, (to - from) * sizeof(T));
        }
        constexpr std::size_t LONG = 512;
        for (std::size_t j = from; j < to;) {
            const std::size_t columns = to - j >= 4 ? 4 : 1;
            for (std::size_t k = 0; k < p.k; k += LONG) {
                const std::size_t depth = std::min(LONG, p.k - k);
                const T* b0 = p.b0.at(batch, k, j).base;
                const T* b1 = PAIR ? p.b1.at(batch, k, j).base : nullptr;
                for (std::size_t i = 0; i < p.m;) {
                    const T* x = a[0].base + static_cast<std::ptrdiff_t>(i) * a_row + k;
                    const T* y = a[1].base + static_cast<std::ptrdiff_t>(i) * a_row + k;
                    T* c = p.c + (batch * p.m + i) * p.n + j;
                    if (columns == 1) {
                        dots<1, 1, PAIR, IN_TURN>(x, y, a_row, b0, b1, p.b0.column, depth, c, p.n);
                        i += 1;
                    } else if (p.m - i >= 4) {
                        dots<4, 4, PAIR, IN_TURN>(x, y, a_row, b0, b1, p.b0.column, depth, c, p.n);
                        i += 4;
                    } else {
                        dots<1, 4, PAIR, IN_TURN>(x, y, a_row, b0, b1, p.b0.column, depth, c, p.n);
                        i += 1;
                    }
                }
            }
            j += columns;
        }
    }
};

// Which way a product goes.
enum class Way { PANELS, ROWS, ROWS_JOINT, COLUMNS, COLUMNS_JOINT };

template <class T>
Way way_of(const Product<T>& p) {
    if (p.m > FEW) {
        return Way::PANELS;
    }
    const Standing along_row = standing(p, &Matrix<T>::column), along_column = standing(p, &Matrix<T>::row);
    const bool same_rows = !p.b1 || p.b1.row == p.b0.row, same_columns = !p.b1 || p.b1.column == p.b0.column;
    if (along_column != Standing::ELSE && same_columns && (p.n < 8 || along_row == Standing::ELSE)) {
        return along_column == Standing::APART ? Way::COLUMNS : Way::COLUMNS_JOINT;
    }
    if (along_row != Standing::ELSE && same_rows) {
        return along_row == Standing::APART ? Way::ROWS : Way::ROWS_JOINT;
    }
    return Way::PANELS;
}

template <class T, class M, unsigned BYTES>
DITTO_INLINE void by(Way way, const Product<T>& p, std::size_t batch, std::size_t from, std::size_t to, T* room) {
    switch (way) {
        case Way::PANELS:
            return by_panels<T, M>(p, batch, from, to, room);
        case Way::ROWS:
            return p.b1 ? Few<T, BYTES>::template by_rows<true, false>(p, batch, from, to)
                        : Few<T, BYTES>::template by_rows<false, false>(p, batch, from, to);
        case Way::ROWS_JOINT:
            return Few<T, BYTES>::template by_rows<true, true>(p, batch, from, to);
        case Way::COLUMNS:
            return p.b1 ? Few<T, BYTES>::template by_columns<true, false>(p, batch, from, to, room)
                        : Few<T, BYTES>::template by_columns<false, false>(p, batch, from, to, room);
        case Way::COLUMNS_JOINT:
            return Few<T, BYTES>::template by_columns<true, true>(p, batch, from, to, room);
    }
}

template <class T>
struct Path {
    void (*run)(Way way, const Product<T>&, std::size_t batch, std::size_t from, std::size_t to, T* room);
    std::size_t panels;
};

template <class T>
void run_baseline(Way way, const Product<T>& p, std::size_t batch, std::size_t from, std::size_t to, T* room) {
    by<T, Micro<T, 16, 4, 2>, 16>(way, p, batch, from, to, room);
}

#if DITTO_X86
template <class T>
DITTO_AVX2 void run_avx2(Way way, const Product<T>& p, std::size_t batch, std::size_t from, std::size_t to, T* room) {
    by<T, Micro<T, 32, 4, 2>, 32>(way, p, batch, from, to, room);
}

template <class T>
DITTO_AVX512 void run_avx512(Way way, const Product<T>& p, std::size_t batch, std::size_t from, std::size_t to,
                             T* room) {
    by<T, Micro<T, 64, 8, 2>, 64>(way, p, batch, from, to, room);
}

DITTO_IFMA void run_ifma(Way, const Product<u64>& p, std::size_t batch, std::size_t from, std::size_t to, u64* room) {
    by_panels<u64, Ifma>(p, batch, from, to, room);
}

DITTO_VNNI void run_vnni(Way, const Product<u32>& p, std::size_t batch, std::size_t from, std::size_t to, u32* room) {
    by_panels<u32, Vnni>(p, batch, from, to, room);
}
#endif

template <class T>
Path<T> path_of(Way way, const Product<T>& p) {
#if DITTO_X86
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
        if constexpr (sizeof(T) == 4) {
            if (way == Way::PANELS && __builtin_cpu_supports("avx512vnni")) {
                return {run_vnni, panel_room<T, Vnni>(p)};
            }
        } else {
            if (way == Way::PANELS && p.bits <= 52 && __builtin_cpu_supports("avx512ifma")) {
                return {run_ifma, panel_room<T, Ifma>(p)};
            }
        }
        return {run_avx512<T>, panel_room<T, Micro<T, 64, 8, 2>>(p)};
    }
    if (__builtin_cpu_supports("avx2")) {
        return {run_avx2<T>, panel_room<T, Micro<T, 32, 4, 2>>(p)};
    }
#endif
    static_cast<void>(way);
    return {run_baseline<T>, panel_room<T, Micro<T, 16, 4, 2>>(p)};
}

// Columns that are worth a thread's while.
constexpr std::size_t LEAST_COLUMNS = 64;

template <class T>
void matmul(const Product<T>& p, unsigned threads) {
    if (p.k == 0 && !p.add) {
        std::memset(p.c, 0, p.batch * p.m * p.n * sizeof(T));
    }
    if (p.batch == 0 || p.m == 0 || p.n == 0 || p.k == 0) {
        return;
    }
    const Way way = way_of(p);
    const Path<T> path = path_of<T>(way, p);
    const std::size_t room = way == Way::PANELS ? path.panels : 2 * p.m * p.k;
    // A share of the work is some batches, or, where there are few, some columns of all.
    const std::size_t shares = std::max<std::size_t>(threads, 1);
    const bool by_batch = p.batch >= shares;
    const std::size_t whole = by_batch ? p.batch : (p.n + LEAST_COLUMNS - 1) / LEAST_COLUMNS;
    const std::size_t workers = std::min(shares, whole);
    std::vector<std::unique_ptr<T[]>> rooms;
    for (std::size_t w = 0; w < workers; ++w) {
        rooms.emplace_back(new T[room]);
    }
    const auto work = [&](std::size_t w) {
        const std::size_t from = whole * w / workers, to = whole * (w + 1) / workers;
        if (by_batch) {
            for (std::size_t b = from; b < to; ++b) {
                path.run(way, p, b, 0, p.n, rooms[w].get());
            }
        } else {
            for (std::size_t b = 0; b < p.batch; ++b) {
                path.run(way, p, b, from * LEAST_COLUMNS, std::min(p.n, to * LEAST_COLUMNS), rooms[w].get());
            }
        }
    };
    std::vector<std::thread> others;
    std::size_t here = workers > 0 ? 1 : 0;
    for (std::size_t w = 1; w < workers; ++w) {
        try {
            others.emplace_back(work, w);
        } catch (const std::system_error&) {
            break;
        }
        ++here;
    }
    work(0);
    // Shares for which there was no thread to be had.
    for (std::size_t w = here; w < workers; ++w) {
        work(w);
    }
    for (std::thread& other : others) {
        other.join();
    }
}

// What Python passes --------------------------------------------------------------------------------

constexpr char WORDS[] = "words: not one word of 32 or 64 bits for each element, in one dimension";
constexpr char PACKED[] = "packed elements: not ceil(n bits / 8) bytes";
constexpr char MATRICES[] = "matrices: not three dimensions that fit, of words of one type";

template <class F>
void with_word(std::size_t bytes, F f) {
    switch (bytes) {
        case 4:
            return f(u32{});
        case 8:
            return f(u64{});
        default:
            throw std::invalid_argument(WORDS);
    }
}

bool are_words(const Strided& array) {
    const nb::dlpack::dtype type = array.dtype();
    return type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::UInt) && type.lanes == 1 &&
           (type.bits == 32 || type.bits == 64);
}

Run run(const Strided& words, std::size_t elements, std::size_t bytes) {
    check(are_words(words) && words.ndim() == 1 && words.shape(0) == elements && words.itemsize() == bytes, WORDS);
    return {static_cast<const u8*>(words.data()), elements > 1 ? static_cast<std::ptrdiff_t>(words.stride(0)) : 1};
}

std::size_t length(const Strided& words) {
    check(are_words(words) && words.ndim() == 1, WORDS);
    return words.shape(0);
}

void py_pack(const Strided& words, unsigned bits, const Out& out) {
    const std::size_t n = length(words);
    check(bits >= 1 && bits <= 8 * words.itemsize(), "bits: a word has no more");
    u8* to = write(out, packed_bytes(n, bits), PACKED);
    with_word(words.itemsize(), [&](auto w) { pack<decltype(w)>(run(words, n, sizeof(w)), n, bits, to); });
}

void py_unpack(const In& packed, unsigned bits, const Out& words) {
    check(words.itemsize() == 4 || words.itemsize() == 8, WORDS);
    check(bits >= 1 && bits <= 8 * words.itemsize(), "bits: a word has no more");
    const std::size_t n = words.size();
    const u8* from = read(packed, packed_bytes(n, bits), PACKED);
    with_word(words.itemsize(), [&](auto w) {
        unpack<decltype(w)>(from, n, bits, write(words, n * sizeof(w), WORDS));
    });
}

Reshare reshare_of(std::size_t n, unsigned ring, unsigned drop, bool centred, const In& after, const In& before) {
    check(ring >= 1 && ring <= 64 && drop < ring, "drop: not less than the ring's width");
    const unsigned bits = ring - drop;
    const std::size_t size = packed_bytes(n, bits);
    return {drop, bits, centred, read(after, size, PACKED), read(before, size, PACKED)};
}

// Calls f with a zero of the words of a ring, and one of those of the ring that is left.
template <class F>
void with_rings(unsigned from, unsigned to, F f) {
    with_word(from <= 32 ? 4 : 8, [&](auto s) {
        with_word(to <= 32 ? 4 : 8, [&](auto t) { f(s, t); });
    });
}

void py_reshare(const In& z, unsigned ring, unsigned drop, bool centred, const In& after, const In& before,
                const Out& own, const Out& message) {
    const std::size_t n = own.size();
    const Reshare how = reshare_of(n, ring, drop, centred, after, before);
    with_rings(ring, how.bits, [&](auto s, auto t) {
        if constexpr (sizeof(t) <= sizeof(s)) {
            reshare<decltype(s), decltype(t)>(read(z, n * sizeof(s), WORDS), n, how, write(own, n * sizeof(t), WORDS),
                                              write(message, packed_bytes(n, how.bits), PACKED));
        }
    });
}

void py_multiply(const Strided& x0, const Strided& x1, const Strided& y0, const Strided& y1, unsigned ring,
                 unsigned drop, bool centred, const In& after, const In& before, const Out& own, const Out& message) {
    const std::size_t n = own.size();
    const Reshare how = reshare_of(n, ring, drop, centred, after, before);
    with_rings(ring, how.bits, [&](auto s, auto t) {
        if constexpr (sizeof(t) <= sizeof(s)) {
            multiply<decltype(s), decltype(t)>(run(x0, n, sizeof(s)), run(x1, n, sizeof(s)), run(y0, n, sizeof(s)),
                                               run(y1, n, sizeof(s)), n, how, write(own, n * sizeof(t), WORDS),
                                               write(message, packed_bytes(n, how.bits), PACKED));
        }
    });
}

Widening widening(unsigned source, unsigned target, unsigned drop, unsigned left) {
    check(source >= 2 && source <= 64 && target >= 1 && target <= 64, "ring: 2 to 64 bits");
    check(drop + 2 <= source, "drop: more than the source ring's width less 2");
    check(drop == 0 || left == 0, "drop, left: a cast shifts one way");
    check(source + left < target + drop, "no wrap reaches the result: this cast is local");
    return {source, target, drop, left, target + drop - source - left};
}

void py_widen_deal(const Strided& x0, const Strided& x1, unsigned source, unsigned target, unsigned drop,
                   unsigned left, const In& masks, const In& w1, const Out& y0, const Out& y1, const Out& message) {
    const Widening cast = widening(source, target, drop, left);
    const std::size_t n = y0.size(), section = packed_bytes(n, cast.bits);
    with_rings(source, target, [&](auto s, auto t) {
        widen_deal<decltype(s), decltype(t)>(
            run(x0, n, sizeof(s)), run(x1, n, sizeof(s)), n, cast, read(masks, 3 * section, PACKED),
            read(w1, section, PACKED), write(y0, n * sizeof(t), WORDS), write(y1, n * sizeof(t), WORDS),
            write(message, 2 * section, PACKED));
    });
}

void py_widen_choose(const Strided& x2, unsigned source, unsigned target, unsigned drop, unsigned left,
                     const In& choices, const In& mask, const Out& chosen) {
    const Widening cast = widening(source, target, drop, left);
    const std::size_t n = length(x2), section = packed_bytes(n, cast.bits);
    with_rings(source, target, [&](auto s, auto t) {
        widen_choose<decltype(s), decltype(t)>(run(x2, n, sizeof(s)), n, cast, read(choices, 2 * section, PACKED),
                                               read(mask, section, PACKED), write(chosen, section, PACKED));
    });
}

void py_widen_finish(const Strided& x2, const Strided& x, unsigned source, unsigned target, unsigned drop,
                     unsigned left, bool offset, const In& mine, const In& theirs, const In& other, const Out& y2,
                     const Out& y) {
    const Widening cast = widening(source, target, drop, left);
    const std::size_t n = y2.size(), section = packed_bytes(n, cast.bits);
    with_rings(source, target, [&](auto s, auto t) {
        widen_finish<decltype(s), decltype(t)>(
            run(x2, n, sizeof(s)), run(x, n, sizeof(s)), n, cast, offset, read(mine, section, PACKED),
            read(theirs, section, PACKED), read(other, section, PACKED), write(y2, n * sizeof(t), WORDS),
            write(y, n * sizeof(t), WORDS));
    });
}

void py_shift(const Strided& x, unsigned source, unsigned target, unsigned drop, unsigned left, bool centred,
              const Out& y) {
    check(source >= 1 && source <= 64 && target >= 1 && target <= 64, "ring: 1 to 64 bits");
    check(drop < source && left < target, "drop, left: not less than the ring's width");
    const std::size_t n = y.size();
    with_rings(source, target, [&](auto s, auto t) {
        shift<decltype(s), decltype(t)>(run(x, n, sizeof(s)), n, drop, left, centred, write(y, n * sizeof(t), WORDS));
    });
}

template <class T>
Matrix<T> matrix(const Strided& a, std::size_t batch, std::size_t rows, std::size_t columns) {
    check(are_words(a) && a.ndim() == 3 && a.shape(0) == batch && a.shape(1) == rows && a.shape(2) == columns &&
              a.itemsize() == sizeof(T),
          MATRICES);
    check(reinterpret_cast<std::uintptr_t>(a.data()) % sizeof(T) == 0, "matrices: not at addresses of whole words");
    const auto stride = [&](std::size_t axis) {
        return a.shape(axis) > 1 ? static_cast<std::ptrdiff_t>(a.stride(axis)) : (axis == 2 ? 1 : 0);
    };
    return {static_cast<const T*>(a.data()), stride(0), stride(1), stride(2)};
}

template <class T>
Product<T> product(const Strided& a0, const Strided& b0, const Out& c, unsigned bits, bool add) {
    check(a0.ndim() == 3 && b0.ndim() == 3, MATRICES);
    const std::size_t batch = a0.shape(0), m = a0.shape(1), k = a0.shape(2), n = b0.shape(2);
    Product<T> p;
    p.a0 = matrix<T>(a0, batch, m, k);
    p.b0 = matrix<T>(b0, batch, k, n);
    p.c = reinterpret_cast<T*>(write(c, batch * m * n * sizeof(T), MATRICES));
    p.batch = batch;
    p.m = m;
    p.k = k;
    p.n = n;
    p.add = add;
    p.bits = bits;
    return p;
}

void py_matmul(const Strided& a, const Strided& b, const Out& c, unsigned bits, bool add, unsigned threads) {
    with_word(a.itemsize(), [&](auto t) { matmul(product<decltype(t)>(a, b, c, bits, add), threads); });
}

void py_matmul_shares(const Strided& a0, const Strided& a1, const Strided& b0, const Strided& b1, const Out& c,
                      unsigned bits, bool add, unsigned threads) {
    with_word(a0.itemsize(), [&](auto t) {
        using T = decltype(t);
        Product<T> p = product<T>(a0, b0, c, bits, add);
        p.a1 = matrix<T>(a1, p.batch, p.m, p.k);
        p.b1 = matrix<T>(b1, p.batch, p.k, p.n);
        matmul(p, threads);
    });
}

}  // namespace

void bind_linear(nb::module_& m) {
    using namespace nb::literals;
    const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
    const auto nogil = nb::call_guard<nb::gil_scoped_release>();
    m.def("pack", &py_pack, array("words"), "bits"_a, array("packed"), nogil);
    m.def("unpack", &py_unpack, array("packed"), "bits"_a, array("words"), nogil);
    m.def("reshare", &py_reshare, array("z"), "ring"_a, "drop"_a, "centred"_a, array("after"), array("before"),
          array("own"), array("message"), nogil);
    m.def("multiply", &py_multiply, array("x0"), array("x1"), array("y0"), array("y1"), "ring"_a, "drop"_a,
          "centred"_a, array("after"), array("before"), array("own"), array("message"), nogil);
    m.def("widen_deal", &py_widen_deal, array("x0"), array("x1"), "source"_a, "target"_a, "drop"_a, "left"_a,
          array("masks"), array("w1"), array("y0"), array("y1"), array("message"), nogil);
    m.def("widen_choose", &py_widen_choose, array("x2"), "source"_a, "target"_a, "drop"_a, "left"_a,
          array("choices"), array("mask"), array("chosen"), nogil);
    m.def("widen_finish", &py_widen_finish, array("x2"), array("x"), "source"_a, "target"_a, "drop"_a, "left"_a,
          "offset"_a, array("mine"), array("theirs"), array("other"), array("y2"), array("y"), nogil);
    m.def("shift", &py_shift, array("x"), "source"_a, "target"_a, "drop"_a, "left"_a, "centred"_a, array("y"), nogil);
    m.def("matmul", &py_matmul, array("a"), array("b"), array("c"), "bits"_a = 64, "add"_a = false, "threads"_a = 1,
          nogil);
    m.def("matmul_shares", &py_matmul_shares, array("a0"), array("a1"), array("b0"), array("b1"), array("c"),
          "bits"_a = 64, "add"_a = false, "threads"_a = 1, nogil);
}
