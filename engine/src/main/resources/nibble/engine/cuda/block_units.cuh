// Units of GGUF's block types (blocks.cuh) for the kernels of decoding (linear_units.cuh says what a kind of units gives).
//
// Codes become exact integers in fp16 and enter the tensor cores as such. The scale of a group multiplies its fp32 sum. Minima enter
// the tensor cores too, as a matrix that is constant along a group: its product with x is the minimum times the sum of x.

#pragma once
#include "blocks.cuh"
#include "linear_units.cuh"

// fp16 bits of an integer from 0 to 2047, or its negative.
static __host__ __device__ constexpr u32 half_of_integer(int v) {
    if (v == 0) return 0;
    int magnitude = v < 0 ? -v : v, exponent = 0;
    while (magnitude >> (exponent + 1)) exponent++;
    return (v < 0 ? 0x8000u : 0u) | (u32)(exponent + 15) << 10 | ((u32)magnitude << (10 - exponent) & 0x3ffu);
}

DEVICE u32 multiply_add_half2(u32 a, u32 b, u32 c) {
    u32 d;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

DEVICE u32 shifted_right(u32 word, int by) { return by >= 0 ? word >> (by & 31) : word << (-by & 31); }

// q - ZERO of a pair of codes that lie SHIFT bits up in the mantissas of 1024.
template <int SHIFT, int ZERO>
DEVICE u32 integers(u32 pair) {
    if (SHIFT == 0) return subtract_half2(pair, half_of_integer(1024 + ZERO) * 0x00010001u);
    return multiply_add_half2(pair, (u32)(15 - SHIFT) << 10 | (u32)(15 - SHIFT) << 26,
                              half_of_integer(-((1024 >> SHIFT) + ZERO)) * 0x00010001u);
}

// The codes that a lane has of 64 columns: four mma.
template <int TYPE>
struct BlockCodes {
    typedef BlockType<TYPE> T;
    typedef TableOf<TYPE> V;
    u32 low[T::LOW], high[T::HIGH > 0 ? T::HIGH : 1];

    // One word of codes of LOW bits for 4 / LOW mma, so LOW words for four; HIGH likewise.
    __device__ __forceinline__ void load(const unsigned char* slot, int chunk, int lane) {
        words<T::LOW>(low, slot, chunk, lane);
        if constexpr (T::HIGH > 0) words<T::HIGH>(high, slot + T::HIGH_AT, chunk, lane);
    }

    template <int B, int N>
    static __device__ __forceinline__ void words(u32 (&to)[N], const unsigned char* plane, int chunk, int lane) {
        const unsigned char* from = plane + (chunk * B / 4 * 32 + lane) * 16 + chunk * B % 4 * 4;
        if constexpr (B == 1) {
            to[0] = *(const u32*)from;
        } else if constexpr (B == 2) {
            uint2 v = *(const uint2*)from;
            to[0] = v.x, to[1] = v.y;
        } else {
#pragma unroll
            for (int i = 0; i < B / 4; i++) {
                uint4 v = *(const uint4*)(from + i * 512);
                to[4 * i] = v.x, to[4 * i + 1] = v.y, to[4 * i + 2] = v.z, to[4 * i + 3] = v.w;
            }
        }
    }

    // The 16 x 16 operand of mma J.
    template <int J>
    __device__ __forceinline__ void expand(u32 (&a)[4]) const {
        if constexpr (T::TABLE) {
            table(a, low[J]);
        } else if constexpr (T::LOW == 8) {
#pragma unroll
            for (int p = 0; p < 4; p++) {
                u32 pair = __byte_perm(low[2 * J + p / 2], 0x64646464u, p % 2 ? 0x4342 : 0x4140);
                a[p] = integers<0, T::ZERO>(pair);
            }
        } else {
            constexpr int N = 4 / T::LOW, AT = T::LOW * (J % N) % 8, M = (1 << T::LOW) - 1;
            u32 word = low[J / N], far = word >> 8;
            u32 pairs[4] = {word & M * 0x00010001u << AT, word & M * 0x00010001u << (AT + 4), far & M * 0x00010001u << AT,
                            far & M * 0x00010001u << (AT + 4)};
            if constexpr (T::HIGH > 0) {
                constexpr int B = T::HIGH, HN = 4 / B, TOP = AT + T::LOW, HM = (1 << B) - 1;
                u32 top = high[J / HN];
                u32 near_bits = shifted_right(top, B * (J % HN) - TOP), far_bits = shifted_right(top, B * (J % HN) - TOP + 8);
                pairs[0] |= near_bits & HM * 0x00010001u << TOP, pairs[1] |= near_bits & HM * 0x00010001u << (TOP + 4);
                pairs[2] |= far_bits & HM * 0x00010001u << TOP, pairs[3] |= far_bits & HM * 0x00010001u << (TOP + 4);
            }
            a[0] = integers<AT, T::ZERO>(pairs[0] | 0x64006400u), a[1] = integers<AT + 4, T::ZERO>(pairs[1] | 0x64006400u);
            a[2] = integers<AT, T::ZERO>(pairs[2] | 0x64006400u), a[3] = integers<AT + 4, T::ZERO>(pairs[3] | 0x64006400u);
        }
    }

    // Four values by four indices: a byte of the first or of the second half of the table, then one of the two.
    static __device__ __forceinline__ u32 four(u32 indices, u32 halves) {
        return __byte_perm(__byte_perm(V::FROM_0, V::FROM_4, indices), __byte_perm(V::FROM_8, V::FROM_12, indices), halves);
    }

    static __device__ __forceinline__ void table(u32 (&a)[4], u32 word) {
        u32 indices = word & 0x77777777u, halves = (word >> 1 & 0x44444444u) | 0x32103210u;
        u32 near_four = four(indices, halves), far_four = four(indices >> 16, halves >> 16);
        a[0] = integers<0, T::ZERO>(__byte_perm(near_four, 0x64646464u, 0x4140));
        a[1] = integers<0, T::ZERO>(__byte_perm(near_four, 0x64646464u, 0x4342));
        a[2] = integers<0, T::ZERO>(__byte_perm(far_four, 0x64646464u, 0x4140));
        a[3] = integers<0, T::ZERO>(__byte_perm(far_four, 0x64646464u, 0x4342));
    }
};

// The scales that a lane has: words with rows r and r + 8.
template <int TYPE>
struct BlockScales {
    typedef BlockType<TYPE> T;
    static constexpr bool SMALL_VALUES = T::SCALES == SMALL || T::SCALES == SMALL_AND_MINIMA;
    static constexpr int WORDS = SMALL_VALUES ? T::SMALLS / 4 : 8, TOPS = SMALL_VALUES && T::SIX_BITS ? T::SMALLS / 8 : 0;
    u32 words[WORDS], minima[T::SCALES == HALVES_AND_MINIMA ? 8 : 1], tops[TOPS > 0 ? TOPS : 1], d, least;

    __device__ __forceinline__ void load(const unsigned char* slot, int r) {
        row<WORDS>(words, slot + T::SCALES_AT, r);
        if constexpr (T::SCALES == HALVES_AND_MINIMA) row<8>(minima, slot + T::SCALES_AT + 256, r);
        if constexpr (TOPS > 0) row<TOPS>(tops, slot + T::TOPS_AT, r);
        if (T::SCALES != HALVES && T::SCALES != HALVES_AND_MINIMA) d = *(const u32*)(slot + T::D_AT + r * 4);
        if (T::SCALES == SMALL_AND_MINIMA) least = *(const u32*)(slot + T::D_AT + 32 + r * 4);
    }

    template <int COUNT, int N>
    static __device__ __forceinline__ void row(u32 (&to)[N], const unsigned char* from, int r) {
        if constexpr (COUNT == 1) {
            to[0] = ((const u32*)from)[r];
        } else if constexpr (COUNT == 2) {
            uint2 v = ((const uint2*)from)[r];
            to[0] = v.x, to[1] = v.y;
        } else {
#pragma unroll
            for (int i = 0; i < COUNT / 4; i++) {
                uint4 v = ((const uint4*)from)[r * (COUNT / 4) + i];
                to[4 * i] = v.x, to[4 * i + 1] = v.y, to[4 * i + 2] = v.z, to[4 * i + 3] = v.w;
            }
        }
    }

    // Small value I of both rows, less `SUBTRACT`, in fp16.
    template <int I, int SUBTRACT>
    __device__ __forceinline__ u32 small() const {
        u32 pair = words[I / 4] >> 4 * (I % 4) & 0x000f000fu;
        if constexpr (TOPS > 0) pair |= shifted_right(tops[I / 8], 2 * (I % 8) - 4) & 0x00300030u;
        return integers<0, SUBTRACT>(pair | 0x64006400u);
    }

    // The scale of group G, but for d where that is the block's.
    template <int G>
    __device__ __forceinline__ u32 scale() const {
        if constexpr (SMALL_VALUES) return small<G, T::SMALL_ZERO>();
        else if constexpr (T::SCALES == BYTES) return integers<0, 128>(__byte_perm(words[G / 2], 0x64646464u, G % 2 ? 0x4342 : 0x4140));
        else return words[G];
    }

    template <int G>
    __device__ __forceinline__ u32 minimum() const {
        if constexpr (T::SCALES == HALVES_AND_MINIMA) return minima[G];
        else return small<T::GROUPS + G, 0>();
    }
};

template <int TYPE>
struct BlockUnits {
    typedef BlockType<TYPE> T;
    static constexpr int COLUMNS = BLOCK_UNIT_COLUMNS;
    static constexpr int BYTES = T::UNIT_BYTES;
    static constexpr bool BULK = BULK_COPIES;
    static constexpr int ARRIVALS = BULK ? 1 : 32;

    static __device__ __forceinline__ void fill(u32 slot, u32 barrier, const WeightMatrix& matrix, int tile, int unit, u64 policy) {
        fill_unit<COLUMNS, BYTES>(slot, barrier, matrix, tile, unit, policy);
    }

    static __device__ __forceinline__ void multiply(float (&sum)[4], const unsigned char* slot, const half_t* x) {
        int lane = threadIdx.x % 32;
        const half_t* lane_x = x - lane % 4 * 4;  // 4 t of every 16 columns instead of 8 t of every 32
        BlockScales<TYPE> scales;
        scales.load(slot, lane / 4);
        Sums s = {};
        chunk<0>(s, scales, slot, lane_x, lane), chunk<1>(s, scales, slot, lane_x, lane);
        chunk<2>(s, scales, slot, lane_x, lane), chunk<3>(s, scales, slot, lane_x, lane);
        if (T::SCALES == HALVES || T::SCALES == HALVES_AND_MINIMA) {
            add(sum, 1, 1, s.products);
            if (T::MINIMA) add(sum, 1, 1, s.minima);
        } else {
            add(sum, low_half(scales.d), high_half(scales.d), s.products);
            if (T::MINIMA) add(sum, -low_half(scales.least), -high_half(scales.least), s.minima);
        }
    }

  private:
    struct Sums {
        float products[4], minima[4];
    };

    static __device__ __forceinline__ void add(float (&sum)[4], float low, float high, const float (&of)[4]) {
        sum[0] += low * of[0], sum[2] += high * of[2];
        if (ROWS > 1) sum[1] += low * of[1], sum[3] += high * of[3];
    }

    template <int C>
    static __device__ __forceinline__ void chunk(Sums& s, const BlockScales<TYPE>& scales, const unsigned char* slot, const half_t* x,
                                                 int lane) {
        BlockCodes<TYPE> codes;
        codes.load(slot, C, lane);
        if constexpr (T::GROUP == 16) {
            group<4 * C, 0, 1>(s, scales, codes, x), group<4 * C + 1, 1, 1>(s, scales, codes, x);
            group<4 * C + 2, 2, 1>(s, scales, codes, x), group<4 * C + 3, 3, 1>(s, scales, codes, x);
        } else {
            group<2 * C, 0, 2>(s, scales, codes, x), group<2 * C + 1, 2, 2>(s, scales, codes, x);
        }
    }

    // Group G, of COUNT mma from mma J of the chunk on.
    template <int G, int J, int COUNT>
    static __device__ __forceinline__ void group(Sums& s, const BlockScales<TYPE>& scales, const BlockCodes<TYPE>& codes,
                                                 const half_t* x) {
        u32 scale = scales.template scale<G>(), minimum[4];
        if constexpr (T::MINIMA) {
            u32 both = scales.template minimum<G>();
            minimum[0] = minimum[2] = __byte_perm(both, 0, 0x1010), minimum[1] = minimum[3] = __byte_perm(both, 0, 0x3232);
        }
        float product[4];
        u32 a[4];
        uint2 b = *(const uint2*)(x + G * T::GROUP);
        codes.template expand<J>(a);
        mma_16x8x16_first(product, a, b.x, b.y);
        if constexpr (T::MINIMA) mma_16x8x16(s.minima, minimum, b.x, b.y);
        if constexpr (COUNT == 2) {
            b = *(const uint2*)(x + G * T::GROUP + 16);
            codes.template expand<J + 1>(a);
            mma_16x8x16(product, a, b.x, b.y);
            if constexpr (T::MINIMA) mma_16x8x16(s.minima, minimum, b.x, b.y);
        }
        add(s.products, low_half(scale), high_half(scale), product);
    }
};
