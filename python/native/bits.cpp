// Local steps of the comparison in any ring, and of bits times numbers. The protocols, with their
// proofs, are in docs/explanation/protocols.md; the code here follows its names.
//
// Ring elements of k bits stand in words of 32 bits (k <= 32) or 64; bits of a word above the k-th are
// arbitrary. *Rows* hold one bit of each of n elements in R = ceil(n / 8) bytes: element i in bit i / R
// of byte i mod R. So eight stretches of consecutive elements share the bits of a stretch of bytes, and
// all that is done with rows is done for hundreds of elements at once.

#include <algorithm>

#include "common.h"

using namespace ditto;

namespace {

// Bytes of a row handled at a time, and bits of the widest digit: all rows of a digit stay in the
// first-level cache.
constexpr std::size_t COLUMNS = 256;
constexpr unsigned MAX_DIGIT = 6;

using Row = u8[COLUMNS];

// Eight rows of bytes to eight rows of bits: bit c of rows[r] becomes bit r of rows[c].
DITTO_INLINE void transpose(Row* rows, std::size_t bytes) {
    const auto swap = [&](unsigned distance, u64 low) {
        for (unsigned r = 0; r < 8; ++r) {
            if (r & distance) {
                continue;
            }
            u8 *a = rows[r], *b = rows[r + distance];
            for (std::size_t i = 0; i < (bytes + 7) / 8; ++i) {
                const u64 upper = load<u64>(a, i), lower = load<u64>(b, i);
                const u64 differ = ((upper >> distance) ^ lower) & low;
                store<u64>(b, i, lower ^ differ);
                store<u64>(a, i, upper ^ differ << distance);
            }
        }
    };
    swap(4, 0x0f0f0f0f0f0f0f0f);
    swap(2, 0x3333333333333333);
    swap(1, 0x5555555555555555);
}

// The bits of words, lowest first, as rows: `bytes` bytes of them from byte `at` on. What f makes of
// each word is taken.
template <class W, class F>
DITTO_INLINE void slice(const u8* words, std::size_t elements, unsigned bits, std::size_t at,
                        std::size_t bytes, Row* planes, F f) {
    const std::size_t row = (elements + 7) / 8;
    W values[COLUMNS];
    for (unsigned bit = 0; bit < 8; ++bit) {
        const std::size_t first = std::min(bit * row + at, elements);
        const std::size_t count = std::min({bytes, elements - first, row - at});
        for (std::size_t i = 0; i < count; ++i) {
            values[i] = f(load<W>(words, first + i));
        }
        for (unsigned low = 0; low < bits; low += 8) {
            u8* plane = planes[low + bit];
            for (std::size_t i = 0; i < count; ++i) {
                plane[i] = static_cast<u8>(values[i] >> low);
            }
            std::memset(plane + count, 0, COLUMNS - count);
        }
    }
    for (unsigned low = 0; low < bits; low += 8) {
        transpose(planes + low, bytes);
    }
}

struct Digits {
    const u8* sizes;
    std::size_t count;

    std::size_t query() const {
        std::size_t rows = 0;
        for (std::size_t digit = 0; digit < count; ++digit) {
            rows += (std::size_t{1} << sizes[digit]) - 1;
        }
        return rows;
    }
};

// P0, who knows u = x_0 + x_1: the words of its digits, added to the mask that is in `out`, and the top bit
// of u, unmasked. Row i of a digit d is [d > i].
template <class W>
DITTO_KERNEL query(const u8* words, std::size_t elements, unsigned ring, Digits digits, u8* __restrict out,
                   u8* __restrict top) {
    const std::size_t row = (elements + 7) / 8;
    alignas(64) Row planes[BITS<W>], word[(1 << MAX_DIGIT) - 1];
    for (std::size_t at = 0; at < row; at += COLUMNS) {
        const std::size_t bytes = std::min(COLUMNS, row - at);
        slice<W>(words, elements, ring, at, bytes, planes, [](W u) { return u; });
        const Row* plane = planes;
        std::size_t place = at;
        for (std::size_t digit = 0; digit < digits.count; ++digit) {
            // With one more bit on top, a digit is greater than i if that bit is 1 or the rest is, for
            // small i; and if that bit is 1 and the rest is greater than i without it, for others.
            unsigned size = 0;
            for (unsigned bit = 0; bit < digits.sizes[digit]; ++bit, ++plane) {
                const u8* b = *plane;
                for (unsigned i = 0; i < size; ++i) {
                    for (std::size_t c = 0; c < COLUMNS; ++c) {
                        word[size + 1 + i][c] = b[c] & word[i][c];
                        word[i][c] |= b[c];
                    }
                }
                std::memcpy(word[size], b, COLUMNS);
                size = 2 * size + 1;
            }
            for (unsigned i = 0; i < size; ++i, place += row) {
                for (std::size_t c = 0; c < bytes; ++c) {
                    out[place + c] ^= word[i][c];
                }
            }
        }
        std::memcpy(top + at, *plane, bytes);
    }
}

// P1 or P2, who know x_2: their shares of G = [d > t] of each digit, then of P = [d == t] of each but
// the lowest, out of their share of the words, for t the complement of v = x_2 - threshold. Constants are
// in the first one's shares.
template <class W>
DITTO_KERNEL pick(const u8* words, std::size_t elements, unsigned ring, Digits digits, u64 threshold,
                  const u8* query, bool first, u8* __restrict out) {
    const std::size_t row = (elements + 7) / 8;
    const W c = static_cast<W>(threshold);
    const u8 one = first ? 0xff : 0;
    alignas(64) Row planes[BITS<W>], is[1 << MAX_DIGIT], greater, before;
    for (std::size_t at = 0; at < row; at += COLUMNS) {
        const std::size_t bytes = std::min(COLUMNS, row - at);
        slice<W>(words, elements, ring, at, bytes, planes, [c](W x) { return static_cast<W>(~(x - c)); });
        const Row* plane = planes;
        const u8* word = query + at;
        for (std::size_t digit = 0; digit < digits.count; ++digit) {
            std::memset(is[0], 0xff, COLUMNS);
            unsigned size = 1;
            for (unsigned bit = 0; bit < digits.sizes[digit]; ++bit, ++plane) {
                const u8* b = *plane;
                for (unsigned i = 0; i < size; ++i) {
                    for (std::size_t j = 0; j < COLUMNS; ++j) {
                        is[size + i][j] = is[i][j] & b[j];
                        is[i][j] &= static_cast<u8>(~b[j]);
                    }
                }
                size *= 2;
            }
            // [d > t - 1] is 1 for t = 0, and [d > t] is 0 for the last t.
            std::memset(greater, 0, COLUMNS);
            for (std::size_t j = 0; j < COLUMNS; ++j) {
                before[j] = is[0][j] & one;
            }
            for (unsigned i = 0; i + 1 < size; ++i, word += row) {
                for (std::size_t j = 0; j < bytes; ++j) {
                    greater[j] ^= is[i][j] & word[j];
                    before[j] ^= is[i + 1][j] & word[j];
                }
            }
            u8* g = out + digit * row + at;
            for (std::size_t j = 0; j < bytes; ++j) {
                g[j] = greater[j];
            }
            if (digit > 0) {
                u8* p = out + (digits.count + digit - 1) * row + at;
                for (std::size_t j = 0; j < bytes; ++j) {
                    p[j] = greater[j] ^ before[j];
                }
            }
        }
        // The top bit of v.
        u8* g = out + (digits.count - 1) * row + at;
        for (std::size_t j = 0; j < bytes; ++j) {
            g[j] ^= static_cast<u8>(~(*plane)[j]) & one;
        }
    }
}

// A byte of 0 or 1 for each element, to rows: one for each stretch of `elements` bytes.
template <class>
DITTO_KERNEL gather(const u8* bits, std::size_t rows, std::size_t elements, u8* __restrict out) {
    const std::size_t row = (elements + 7) / 8;
    std::memset(out, 0, rows * row);
    for (std::size_t r = 0; r < rows; ++r, bits += elements, out += row) {
        for (unsigned bit = 0; bit < 8 && bit * row < elements; ++bit) {
            const std::size_t first = bit * row;
            const std::size_t count = std::min(row, elements - first);
            for (std::size_t i = 0; i < count; ++i) {
                out[i] = static_cast<u8>(out[i] | (bits[first + i] & 1) << bit);
            }
        }
    }
}

// A row to a byte of 0 or 1 for each element.
template <class>
DITTO_KERNEL scatter(const u8* row_bits, std::size_t elements, u8* __restrict out) {
    const std::size_t row = (elements + 7) / 8;
    for (unsigned bit = 0; bit < 8 && bit * row < elements; ++bit) {
        const std::size_t first = bit * row;
        const std::size_t count = std::min(row, elements - first);
        for (std::size_t i = 0; i < count; ++i) {
            out[first + i] = row_bits[i] >> bit & 1;
        }
    }
}

// P0: beta (x_0 + x_1), or beta itself without x, less the mask that is in `out`.
template <class W>
DITTO_KERNEL bit_deal(const u8* beta, const u8* x0, const u8* x1, std::size_t elements, u8* __restrict out) {
    for (std::size_t i = 0; i < elements; ++i) {
        const W x = x0 ? static_cast<W>(load<W>(x0, i) + load<W>(x1, i)) : W{1};
        const W kept = static_cast<W>(x & (W{0} - static_cast<W>(beta[i])));
        store<W>(out, i, static_cast<W>(kept - load<W>(out, i)));
    }
}

// P1 (`first`) or P2: gamma x + (1 - 2 gamma) beta x, less the mask that is in `out`, of which it has a part:
// from its parts of beta and of beta (x_0 + x_1), from x_2, and from the other slot of x that it knows.
template <class W>
DITTO_KERNEL bit_share(const u8* gamma, const u8* beta, const u8* product, const u8* x2, const u8* other,
                       std::size_t elements, bool first, u8* __restrict out) {
    const W with_x2 = first ? static_cast<W>(~W{0}) : W{0};
    for (std::size_t i = 0; i < elements; ++i) {
        W part = load<W>(beta, i), known = 1 & with_x2;
        if (x2) {
            const W x = load<W>(x2, i);
            part = static_cast<W>(part * x + load<W>(product, i));
            known = static_cast<W>(load<W>(other, i) + (x & with_x2));
        }
        const W all = static_cast<W>(W{0} - static_cast<W>(gamma[i]));
        // -a is ~a + 1: (a ^ all) - all is a, or -a.
        const W turned = static_cast<W>((part ^ all) - all);
        store<W>(out, i, static_cast<W>(turned + (known & all) - load<W>(out, i)));
    }
}

template <class F>
void with_word(unsigned ring, F f) {
    check(ring >= 1 && ring <= 64, "ring width must be 1 to 64");
    if (ring <= 32) {
        f(u32{});
    } else {
        f(u64{});
    }
}

constexpr char WORDS[] = "words: not 32 bits for each element, or 64 beyond ring 32";
constexpr char SIZES[] = "sizes: not digits of 1 to 6 bits, together the ring without its top bit";
constexpr char QUERY[] = "query: not a row for each value but one of each digit";
constexpr char ANSWERS[] = "bits: not two rows for each digit, less one";
constexpr char ROWS[] = "bits, rows: not as many elements, or bytes for every eight of them, in each row";
constexpr char ROW[] = "row: not one byte for every eight elements";

Digits digits_of(const In& sizes, unsigned ring) {
    const Digits digits{static_cast<const u8*>(sizes.data()), sizes.nbytes()};
    unsigned total = 0;
    for (std::size_t digit = 0; digit < digits.count; ++digit) {
        check(digits.sizes[digit] >= 1 && digits.sizes[digit] <= MAX_DIGIT, SIZES);
        total += digits.sizes[digit];
    }
    check(total + 1 == ring, SIZES);
    return digits;
}

void py_query(const In& words, unsigned ring, const In& sizes, const Out& out, const Out& top) {
    with_word(ring, [&](auto w) {
        using W = decltype(w);
        const Digits digits = digits_of(sizes, ring);
        const std::size_t n = words.nbytes() / sizeof(W), row = (n + 7) / 8;
        query<W>(read(words, n * sizeof(W), WORDS), n, ring, digits,
                 write(out, digits.query() * row, QUERY), write(top, row, ROW));
    });
}

void py_pick(const In& words, unsigned ring, const In& sizes, u64 threshold, const In& query, bool first,
             const Out& bits) {
    with_word(ring, [&](auto w) {
        using W = decltype(w);
        const Digits digits = digits_of(sizes, ring);
        const std::size_t n = words.nbytes() / sizeof(W), row = (n + 7) / 8;
        pick<W>(read(words, n * sizeof(W), WORDS), n, ring, digits, threshold,
                read(query, digits.query() * row, QUERY), first,
                write(bits, (2 * digits.count - 1) * row, ANSWERS));
    });
}

const u8* read_if_any(const In& array, std::size_t size, const char* message) {
    return array.nbytes() ? read(array, size, message) : nullptr;
}

void py_bit_deal(const In& beta, const In& x0, const In& x1, unsigned ring, const Out& out) {
    with_word(ring, [&](auto w) {
        using W = decltype(w);
        const std::size_t n = beta.nbytes(), size = n * sizeof(W);
        check(x0.nbytes() == x1.nbytes(), WORDS);
        bit_deal<W>(read(beta, n, ROW), read_if_any(x0, size, WORDS), read_if_any(x1, size, WORDS), n,
                    write(out, size, WORDS));
    });
}

void py_bit_share(const In& gamma, const In& beta, const In& product, const In& x2, const In& other,
                  unsigned ring, bool first, const Out& out) {
    with_word(ring, [&](auto w) {
        using W = decltype(w);
        const std::size_t n = gamma.nbytes(), size = n * sizeof(W);
        check(product.nbytes() == x2.nbytes() && other.nbytes() == x2.nbytes(), WORDS);
        bit_share<W>(read(gamma, n, ROW), read(beta, size, WORDS), read_if_any(product, size, WORDS),
                     read_if_any(x2, size, WORDS), read_if_any(other, size, WORDS), n, first,
                     write(out, size, WORDS));
    });
}

void py_gather(const In& bits, std::size_t rows, const Out& out) {
    const std::size_t n = rows ? bits.nbytes() / rows : 0;
    gather<void>(read(bits, rows * n, ROWS), rows, n, write(out, rows * ((n + 7) / 8), ROWS));
}

void py_scatter(const In& row, const Out& bits) {
    const std::size_t n = bits.nbytes();
    scatter<void>(read(row, (n + 7) / 8, ROW), n, write(bits, n, ROW));
}

}  // namespace

void bind_bits(nb::module_& m) {
    using namespace nb::literals;
    const auto array = [](const char* name) { return nb::arg(name).noconvert(); };
    const auto nogil = nb::call_guard<nb::gil_scoped_release>();
    m.def("less_query", &py_query, array("words"), "ring"_a, array("sizes"), array("query"), array("top"),
          nogil);
    m.def("less_pick", &py_pick, array("words"), "ring"_a, array("sizes"), "threshold"_a, array("query"),
          "first"_a, array("bits"), nogil);
    m.def("bit_deal", &py_bit_deal, array("beta"), array("x0"), array("x1"), "ring"_a, array("out"), nogil);
    m.def("bit_share", &py_bit_share, array("gamma"), array("beta"), array("product"), array("x2"),
          array("other"), "ring"_a, "first"_a, array("out"), nogil);
    m.def("gather_bits", &py_gather, array("bits"), "rows"_a, array("out"), nogil);
    m.def("scatter_bits", &py_scatter, array("row"), array("bits"), nogil);
}
