// What the kernels share: types, access to memory, and the checks of what Python passes.

#ifndef DITTO_NATIVE_COMMON_H
#define DITTO_NATIVE_COMMON_H

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace nb = nanobind;

// One binary serves every x86-64 CPU: the loader picks the version of each kernel that fits. Helpers
// are flattened into the kernels, or they would be compiled for the oldest CPU only.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    __GNUC__ >= 12
#define DITTO_KERNEL __attribute__((flatten, target_clones("default", "avx2", "arch=x86-64-v4"))) void
#else
#define DITTO_KERNEL void
#endif
#define DITTO_INLINE static inline __attribute__((always_inline))

namespace ditto {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using u128 = unsigned __int128;

using In = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<nb::c_contig, nb::device::cpu>;

// Elements handled at a time; the block's words stay in the first-level cache.
constexpr std::size_t BLOCK = 256;

template <class T>
DITTO_INLINE T load(const u8* base, std::size_t index) {
    T value;
    std::memcpy(&value, base + index * sizeof(T), sizeof(T));
    return value;
}

template <class T>
DITTO_INLINE void store(u8* base, std::size_t index, T value) {
    std::memcpy(base + index * sizeof(T), &value, sizeof(T));
}

template <class S>
constexpr unsigned BITS = 8 * sizeof(S);

// Run-time widths to types: f gets a zero of each type that was asked for.
template <class F>
void with_ring(unsigned bits, F f) {
    switch (bits) {
        case 32:
            return f(u32{});
        case 64:
            return f(u64{});
        case 128:
            return f(u128{});
        default:
            throw std::invalid_argument("ring width must be 32, 64 or 128");
    }
}

inline void check(bool condition, const char* message) {
    if (!condition) {
        throw std::invalid_argument(message);
    }
}

constexpr char SLOTS[] = "slots: not two ring elements for each element";
constexpr char RAW[] = "raw: not one ring element for each element";

inline const u8* read(const In& array, std::size_t size, const char* message) {
    check(array.nbytes() == size, message);
    return static_cast<const u8*>(array.data());
}

inline u8* write(const Out& array, std::size_t size, const char* message) {
    check(array.nbytes() == size, message);
    return static_cast<u8*>(array.data());
}

inline std::size_t count_slots(const In& slots, unsigned ring) {
    check(ring % 32 == 0 && ring > 0 && slots.nbytes() % (ring / 4) == 0, SLOTS);
    return slots.nbytes() / (ring / 4);
}

}  // namespace ditto

#endif
