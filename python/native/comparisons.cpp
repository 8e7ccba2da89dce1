// Local steps of the comparison. The protocol, with its proofs, is in docs/explanation/protocols.md; the code
// here follows its names.
//
// A *query* holds D words for each element, D = k/4 the number of digits: a plane of 16-bit words for
// each digit but the top one, lowest first, then a plane of bytes for the top digit. *Bits* are rows of
// one byte for every eight elements, element i in bit i / row mod row. Of n digits there are 2n - 1
// rows: G of each digit, then P of each but the lowest, which is never used. Digits are in bit-reversed
// order, so that each level of the tree combines the lower half of the rows with the upper half.

#include <algorithm>
#include <type_traits>

#include "common.h"

using namespace ditto;

namespace {

template <class S>
constexpr unsigned DIGITS = BITS<S> / 4;

template <class S>
constexpr std::size_t QUERY_BYTES = 2 * DIGITS<S> - 1;

template <class S>
constexpr std::size_t ROWS = 2 * DIGITS<S> - 1;

// The row of a digit's G.
template <class S>
constexpr unsigned row_of(unsigned digit) {
    unsigned row = 0;
    for (unsigned bit = 1; bit < DIGITS<S>; bit *= 2) {
        row = 2 * row + (digit & bit ? 1 : 0);
    }
    return row;
}

// Sixteen bits at a time, which is what a vector of 16-bit words takes its digits from.
template <class S>
DITTO_INLINE void split_words(const S* values, std::size_t count, u16 (*parts)[BLOCK]) {
    // Compilers do not vectorise shifts of 128 bits.
    using Word = std::conditional_t<sizeof(S) == 16, u64, S>;
    constexpr unsigned WORDS = sizeof(S) / sizeof(Word);
    const u8* words = reinterpret_cast<const u8*>(values);
    for (unsigned part = 0; part < DIGITS<S> / 4; ++part) {
        const unsigned word = 16 * part / BITS<Word>, shift = 16 * part % BITS<Word>;
        for (std::size_t i = 0; i < count; ++i) {
            parts[part][i] = static_cast<u16>(load<Word>(words, WORDS * i + word) >> shift);
        }
    }
}

// P0, who knows x_0 and x_1: the masked words of every digit d of u = x_0 + x_1. Bit i of a word is
// [d > i]; in the word of the top digit, which has three bits, all are flipped by msb(u).
template <class S>
DITTO_KERNEL query(const u8* slots, std::size_t elements, const u8* mask, u8* __restrict out) {
    constexpr unsigned TOP = DIGITS<S> - 1;
    S sums[BLOCK];
    u16 parts[DIGITS<S> / 4][BLOCK];
    for (std::size_t at = 0; at < elements; at += BLOCK) {
        const std::size_t count = std::min(BLOCK, elements - at);
        for (std::size_t i = 0; i < count; ++i) {
            sums[i] = static_cast<S>(load<S>(slots, 2 * (at + i)) + load<S>(slots, 2 * (at + i) + 1));
        }
        split_words<S>(sums, count, parts);
        for (unsigned digit = 0; digit < TOP; ++digit) {
            const std::size_t plane = 2 * digit * elements;
            for (std::size_t i = 0; i < count; ++i) {
                const unsigned d = parts[digit / 4][i] >> (4 * (digit % 4)) & 15;
                const u16 word = static_cast<u16>((1u << d) - 1);
                store<u16>(out + plane, at + i, word ^ load<u16>(mask + plane, at + i));
            }
        }
        const std::size_t plane = 2 * TOP * elements;
        for (std::size_t i = 0; i < count; ++i) {
            const unsigned top = parts[TOP / 4][i];
            const u16 word = static_cast<u16>(((1u << (top >> 12 & 7)) - 1) ^ (0u - (top >> 15)));
            out[plane + at + i] = static_cast<u8>(word ^ mask[plane + at + i]);
        }
    }
}

// A party's shares of G = [d > t] and P = [d == t] of one digit, out of its share of the words, as bit
// `bit` of `g` and `p`. The digit t of a secret moves bits, and no memory is read by it.
template <class W>
DITTO_INLINE void pick_digit(const u8* words, std::size_t first, std::size_t count, const u16* parts,
                             unsigned shift, unsigned one, unsigned bit, u8* g, u8* p) {
    constexpr unsigned LAST = 8 * sizeof(W) - 1;
    for (std::size_t i = 0; i < count; ++i) {
        const u16 word = load<W>(words, first + i);
        const u16 t = static_cast<u16>(parts[i] >> shift & LAST);
        // [d > t - 1] ^ [d > t]: below bit 0 is a 1, which the last bit (0, or msb(u)) and `one` make.
        const u16 equal = static_cast<u16>(word ^ word << 1 ^ word >> LAST ^ one);
        g[i] = static_cast<u8>(g[i] | (word >> t & 1) << bit);
        p[i] = static_cast<u8>(p[i] | (equal >> t & 1) << bit);
    }
}

// P1 (x_2 in column 1) or P2 (column 0): its shares of all G and P, for t the complement of
// v = x_2 - threshold, added to what is in `out`. The constants are in P1's shares.
template <class S, unsigned COLUMN>
DITTO_KERNEL pick(const u8* slots, std::size_t elements, const u8* threshold, const u8* query,
                  std::size_t row_bytes, u8* __restrict out) {
    constexpr unsigned TOP = DIGITS<S> - 1;
    const S c = load<S>(threshold, 0);
    const std::size_t eighth = (elements + 7) / 8;
    S complements[BLOCK];
    u16 parts[DIGITS<S> / 4][BLOCK];
    u8 g[DIGITS<S>][BLOCK], p[DIGITS<S>][BLOCK];
    for (std::size_t at = 0; at < eighth; at += BLOCK) {
        const std::size_t bytes = std::min(BLOCK, eighth - at);
        std::memset(g, 0, sizeof(g));
        std::memset(p, 0, sizeof(p));
        for (unsigned bit = 0; bit < 8 && bit * eighth + at < elements; ++bit) {
            const std::size_t first = bit * eighth + at;
            const std::size_t count = std::min(bytes, elements - first);
            for (std::size_t i = 0; i < count; ++i) {
                complements[i] = static_cast<S>(~(load<S>(slots, 2 * (first + i) + COLUMN) - c));
            }
            split_words<S>(complements, count, parts);
            for (unsigned digit = 0; digit < TOP; ++digit) {
                pick_digit<u16>(query + 2 * digit * elements, first, count, parts[digit / 4],
                                4 * (digit % 4), COLUMN, bit, g[digit], p[digit]);
            }
            pick_digit<u8>(query + 2 * TOP * elements, first, count, parts[TOP / 4], 12, COLUMN, bit,
                           g[TOP], p[TOP]);
            if (COLUMN == 1) {
                for (std::size_t i = 0; i < count; ++i) {
                    const unsigned msb = ~parts[TOP / 4][i] >> 15 & 1;
                    g[TOP][i] = static_cast<u8>(g[TOP][i] ^ msb << bit);
                }
            }
        }
        for (unsigned digit = 0; digit <= TOP; ++digit) {
            const unsigned row = row_of<S>(digit);
            u8* g_row = out + row * row_bytes + at;
            for (std::size_t i = 0; i < bytes; ++i) {
                g_row[i] ^= g[digit][i];
            }
            if (row > 0) {
                u8* p_row = out + (TOP + row) * row_bytes + at;
                for (std::size_t i = 0; i < bytes; ++i) {
                    p_row[i] ^= p[digit][i];
                }
            }
        }
    }
}

// A party's share of a & b, from its slots (a_i, a_{i+1}) and (b_i, b_{i+1}), and a share of zero.
DITTO_INLINE void multiply(const u8* a0, const u8* a1, const u8* b0, const u8* b1, const u8* zero0,
                           const u8* zero1, std::size_t bytes, u8* __restrict out) {
    for (std::size_t i = 0; i < bytes; ++i) {
        out[i] = static_cast<u8>((a0[i] & (b0[i] ^ b1[i])) ^ (a1[i] & b0[i]) ^ zero0[i] ^ zero1[i]);
    }
}

// The products of one level of the tree: P_hi G_lo of all pairs, then P_hi P_lo of all but the lowest.
template <class>
DITTO_KERNEL level(const u8* slot0, const u8* slot1, std::size_t half, std::size_t row_bytes,
                   const u8* zero0, const u8* zero1, u8* __restrict out) {
    const std::size_t p_lo = 2 * half * row_bytes;
    const std::size_t p_hi = (3 * half - 1) * row_bytes;
    const std::size_t bytes = half * row_bytes;
    multiply(slot0 + p_hi, slot1 + p_hi, slot0, slot1, zero0, zero1, bytes, out);
    multiply(slot0 + p_hi + row_bytes, slot1 + p_hi + row_bytes, slot0 + p_lo, slot1 + p_lo,
             zero0 + bytes, zero1 + bytes, bytes - row_bytes, out + bytes);
}

// One row of each slot to one byte for each element and slot.
template <class>
DITTO_KERNEL unpack(const u8* slot0, const u8* slot1, std::size_t elements, u8* __restrict out) {
    const std::size_t eighth = (elements + 7) / 8;
    for (unsigned bit = 0; bit < 8 && bit * eighth < elements; ++bit) {
        const std::size_t first = bit * eighth;
        const std::size_t count = std::min(eighth, elements - first);
        for (std::size_t i = 0; i < count; ++i) {
            out[2 * (first + i)] = slot0[i] >> bit & 1;
            out[2 * (first + i) + 1] = slot1[i] >> bit & 1;
        }
    }
}

constexpr char QUERY[] = "query: not ring / 2 - 1 bytes for each element";
constexpr char THRESHOLD[] = "threshold: not one ring element";
constexpr char BITS_OUT[] = "bits: not ring / 2 - 1 rows, or too short for the elements";
constexpr char LEVEL[] = "slots: not 2 * digits - 1 rows, of a power of two of digits";
constexpr char PRODUCTS[] = "products, masks: not digits - 1 rows";
constexpr char ROW[] = "slots: not one byte for every eight elements";

void py_query(const In& slots, unsigned ring, const In& mask, const Out& out) {
    const std::size_t n = count_slots(slots, ring);
    with_ring(ring, [&](auto s) {
        using S = decltype(s);
        query<S>(read(slots, 2 * n * sizeof(S), SLOTS), n, read(mask, n * QUERY_BYTES<S>, QUERY),
                 write(out, n * QUERY_BYTES<S>, QUERY));
    });
}

template <unsigned COLUMN>
void pick_for(const In& slots, unsigned ring, const In& threshold, const In& words, std::size_t column,
              const Out& bits) {
    const std::size_t n = count_slots(slots, ring);
    with_ring(ring, [&](auto s) {
        using S = decltype(s);
        const std::size_t row_bytes = bits.nbytes() / ROWS<S>;
        const std::size_t eighth = (n + 7) / 8;
        check(column <= row_bytes && eighth <= row_bytes - column, BITS_OUT);
        u8* out = write(bits, row_bytes * ROWS<S>, BITS_OUT);
        pick<S, COLUMN>(read(slots, 2 * n * sizeof(S), SLOTS), n,
                        read(threshold, sizeof(S), THRESHOLD), read(words, n * QUERY_BYTES<S>, QUERY),
                        row_bytes, out + column);
    });
}

void py_level(const In& slot0, const In& slot1, unsigned digits, const In& zero0, const In& zero1,
              const Out& products) {
    check(digits >= 2 && digits <= 32 && (digits & (digits - 1)) == 0, LEVEL);
    const std::size_t row_bytes = slot0.nbytes() / (2 * digits - 1);
    const std::size_t size = row_bytes * (2 * digits - 1);
    const std::size_t out_size = row_bytes * (digits - 1);
    level<void>(read(slot0, size, LEVEL), read(slot1, size, LEVEL), digits / 2, row_bytes,
                read(zero0, out_size, PRODUCTS), read(zero1, out_size, PRODUCTS),
                write(products, out_size, PRODUCTS));
}

void py_unpack(const In& slot0, const In& slot1, const Out& bits) {
    const std::size_t n = bits.nbytes() / 2;
    const std::size_t eighth = (n + 7) / 8;
    unpack<void>(read(slot0, eighth, ROW), read(slot1, eighth, ROW), n,
                 write(bits, 2 * n, "bits: not two bytes for each element"));
}

}  // namespace

void bind_comparisons(nb::module_& m) {
    using namespace nb::literals;
    const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
    const auto nogil = nb::call_guard<nb::gil_scoped_release>();
    m.def("compare_query", &py_query, array("slots"), "ring"_a, array("mask"), array("query"), nogil);
    m.def("compare_pick_p1", &pick_for<1>, array("slots"), "ring"_a, array("threshold"), array("query"),
          "column"_a, array("bits"), nogil);
    m.def("compare_pick_p2", &pick_for<0>, array("slots"), "ring"_a, array("threshold"), array("query"),
          "column"_a, array("bits"), nogil);
    m.def("compare_level", &py_level, array("slot0"), array("slot1"), "digits"_a, array("mask0"),
          array("mask1"), array("products"), nogil);
    m.def("unpack_bits", &py_unpack, array("slot0"), array("slot1"), array("bits"), nogil);
}
