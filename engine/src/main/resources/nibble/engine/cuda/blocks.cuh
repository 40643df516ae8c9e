// The layout of GGUF's block types on a card: the bytes of the file in another order. As in w4.cuh a matrix is tiles of 16 rows, cut
// into units of 256 columns that lie one after another. What pads the last tile or unit is zero.
//
//   unit  | low bits of codes | high bits of codes | scales |
//
// Codes are unsigned. Lane 4 r + t of a warp (r = 0..7, t = 0..3) has rows r and r + 8; of the 16 columns of one mma, m = 0..15, it
// has columns 4 t .. 4 t + 3, as four pairs: pair p = 0..3 is row r + 8 (p % 2), columns 4 t + 2 (p / 2) and the next, e = 0, 1.
//
//   4, 2 or 1 bits b of a code, n = 4 / b mma a word: word w = m / n of the lane at ((w / 4) * 32 + lane) * 16 + (w % 4) * 4,
//     bits from 4 p + b (m % n) + 16 e on; where a table gives values, from 8 p + 4 e on
//   8 bits: byte ((m / 2) * 32 + lane) * 16 + (m % 2) * 8 + 4 (p / 2) + 2 (p % 2) + e
//
// Scales are words with the value of row r in the low half and of row r + 8 in the high half, at the same bits.
//
//   type                       code     low high  value                         scales, words of r
//   Q4_0, Q5_0, Q8_0           q + zero 4,4,8 / 0,1,0   d q                     8 d, one a group of 32 columns
//   Q4_1, Q5_1                 q        4 / 0,1   d q + m                       8 d for each r, then 8 m for each r
//   IQ4_NL                     index    4 / 0     d table[q]                    8 d
//   IQ4_XS                     index    4 / 0     d (s - 32) table[q]           small s[8]; d
//   MXFP4                      index    4 / 0     d table[q]                    8 d, each half of the file's power of two
//   Q2_K                       q        2 / 0     d s q - dmin s'               small s[16], s'[16]; d; dmin
//   Q3_K                       q + 4    2 / 1     d (s - 32) q                  small s[16]; d
//   Q4_K, Q5_K                 q        4 / 0,1   d s q - dmin s'               small s[8], s'[8]; d; dmin
//   Q6_K                       q + 32   4 / 2     d s q                         bytes s[16] + 128; d
//
//   small   n values of 4 bits: word i / 4, bit 4 (i % 4); then, of those with 6 bits, two more: word i / 8, bit 2 (i % 8)
//   bytes   word i / 2: byte 2 (i % 2) of row r, the next of row r + 8

#pragma once
#include "common.cuh"

// Types by their numbers in a GGUF file; 4-bit matrices of w4.cuh have 0.
constexpr int W4 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q5_1 = 7, Q8_0 = 8, Q2_K = 10, Q3_K = 11, Q4_K = 12, Q5_K = 13, Q6_K = 14,
              IQ4_NL = 20, IQ4_XS = 23, MXFP4 = 39;

constexpr int BLOCK_UNIT_COLUMNS = 256;

// How a type keeps its scales: a half a group, the same and a minimum, small integers, small integers and minima, bytes.
enum Scales { HALVES, HALVES_AND_MINIMA, SMALL, SMALL_AND_MINIMA, BYTES };

template <int TYPE>
struct BlockType {
    static constexpr bool TABLE = TYPE == IQ4_NL || TYPE == IQ4_XS || TYPE == MXFP4;
    static constexpr bool K = TYPE >= Q2_K && TYPE <= Q6_K || TYPE == IQ4_XS;  // blocks of 256
    static constexpr int LOW = TYPE == Q8_0 ? 8 : TYPE == Q2_K || TYPE == Q3_K ? 2 : 4;
    static constexpr int HIGH = TYPE == Q6_K ? 2 : TYPE == Q5_0 || TYPE == Q5_1 || TYPE == Q5_K || TYPE == Q3_K ? 1 : 0;
    static constexpr int GROUP = TYPE == Q2_K || TYPE == Q3_K || TYPE == Q6_K ? 16 : 32;
    static constexpr int GROUPS = BLOCK_UNIT_COLUMNS / GROUP;
    // What codes are stored with in addition; table values are bytes with 128 more.
    static constexpr int ZERO =
        TYPE == Q4_0 ? 8 : TYPE == Q5_0 ? 16 : TYPE == Q8_0 || TABLE ? 128 : TYPE == Q3_K ? 4 : TYPE == Q6_K ? 32 : 0;
    static constexpr Scales SCALES = TYPE == Q4_1 || TYPE == Q5_1                    ? HALVES_AND_MINIMA
                                     : TYPE == Q2_K || TYPE == Q4_K || TYPE == Q5_K ? SMALL_AND_MINIMA
                                     : TYPE == Q3_K || TYPE == IQ4_XS               ? SMALL
                                     : TYPE == Q6_K                                 ? BYTES
                                                                                    : HALVES;
    static constexpr bool MINIMA = SCALES == HALVES_AND_MINIMA || SCALES == SMALL_AND_MINIMA;
    static constexpr bool SIX_BITS = TYPE != Q2_K;            // of small values
    static constexpr int SMALL_ZERO = SCALES == SMALL ? 32 : 0;
    static constexpr int SMALLS = GROUPS * (MINIMA ? 2 : 1);  // small values of a row

    // Where the parts of a unit begin.
    static constexpr int HIGH_AT = 512 * LOW;
    static constexpr int SCALES_AT = HIGH_AT + 512 * HIGH;
    static constexpr int TOPS_AT = SCALES_AT + 8 * SMALLS;  // two more bits of small values: SMALLS / 4 words a row pair
    static constexpr int D_AT = SCALES_AT + (SCALES == BYTES ? 256 : 8 * SMALLS + (SIX_BITS ? 4 * SMALLS : 0));
    static constexpr int UNIT_BYTES = SCALES == HALVES              ? SCALES_AT + 256
                                      : SCALES == HALVES_AND_MINIMA ? SCALES_AT + 512
                                                                    : D_AT + (MINIMA ? 64 : 32);
    // Of the file.
    static constexpr int BLOCK_BYTES = UNIT_BYTES / 16 / (K ? 1 : 8) - (TYPE == MXFP4);  // a byte of exponent, not two of scale
    static constexpr int BLOCK_COLUMNS = K ? 256 : 32;
};

static_assert(BlockType<Q4_0>::BLOCK_BYTES == 18 && BlockType<Q4_1>::BLOCK_BYTES == 20 && BlockType<Q5_0>::BLOCK_BYTES == 22, "");
static_assert(BlockType<Q5_1>::BLOCK_BYTES == 24 && BlockType<Q8_0>::BLOCK_BYTES == 34 && BlockType<IQ4_NL>::BLOCK_BYTES == 18, "");
static_assert(BlockType<Q2_K>::BLOCK_BYTES == 84 && BlockType<Q3_K>::BLOCK_BYTES == 110 && BlockType<Q4_K>::BLOCK_BYTES == 144, "");
static_assert(BlockType<Q5_K>::BLOCK_BYTES == 176 && BlockType<Q6_K>::BLOCK_BYTES == 210 && BlockType<IQ4_XS>::BLOCK_BYTES == 136, "");
static_assert(BlockType<MXFP4>::BLOCK_BYTES == 17 && BlockType<MXFP4>::UNIT_BYTES == BlockType<IQ4_NL>::UNIT_BYTES, "");

// The sixteen values of a type, each with 128 more. IQ4's: -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113.
// MXFP4's, doubled: 0, 1, 2, 3, 4, 6, 8, 12, and the same below 0.
template <int TYPE>
struct TableOf {
    static constexpr u32 FROM_0 = TYPE == MXFP4 ? 0x83828180u : 0x3f2d1801u, FROM_4 = TYPE == MXFP4 ? 0x8c888684u : 0x766a5d4fu,
                         FROM_8 = TYPE == MXFP4 ? 0x7d7e7f80u : 0xa6998d81u, FROM_12 = TYPE == MXFP4 ? 0x74787a7cu : 0xf1d9c5b5u;
};

template <int TYPE>
DEVICE int table_value(int index) {
    typedef TableOf<TYPE> V;
    u32 four = index < 8 ? (index < 4 ? V::FROM_0 : V::FROM_4) : (index < 12 ? V::FROM_8 : V::FROM_12);
    return (int)(four >> 8 * (index % 4) & 255u) - 128;
}

// --- where the bits of a unit are ---------------------------------------------------------------------------------------

// Bits of a unit: a word and the first bit in it.
struct Bits {
    int word, bit;
};

// b bits of the code at a row and column, of those that begin at byte `at`.
template <int B, bool TABLE>
DEVICE Bits code_bits(int at, int row, int column) {
    int m = column / 16, lane = row % 8 * 4 + column % 16 / 4, p = row / 8 + column % 4 / 2 * 2, e = column % 2;
    if (B == 8) return {at / 4 + (m / 2 * 32 + lane) * 4 + m % 2 * 2 + p / 2, 16 * (p % 2) + 8 * e};
    constexpr int N = B == 8 ? 1 : 4 / B;
    int w = m / N;
    return {at / 4 + (w / 4 * 32 + lane) * 4 + w % 4, TABLE ? 8 * p + 4 * e : 4 * p + B * (m % N) + 16 * e};
}

// Half i of those of a row, `count` of them in a row.
DEVICE Bits half_bits(int at, int row, int count, int i) { return {at / 4 + row % 8 * count + i, row / 8 * 16}; }

// The lower four bits of small value i, and the upper two.
template <int TYPE>
DEVICE Bits small_bits(int row, int i) {
    return {BlockType<TYPE>::SCALES_AT / 4 + row % 8 * (BlockType<TYPE>::SMALLS / 4) + i / 4, 4 * (i % 4) + row / 8 * 16};
}
template <int TYPE>
DEVICE Bits small_tops(int row, int i) {
    return {BlockType<TYPE>::TOPS_AT / 4 + row % 8 * (BlockType<TYPE>::SMALLS / 8) + i / 8, 2 * (i % 8) + row / 8 * 16};
}
template <int TYPE>
DEVICE Bits byte_bits(int row, int i) {
    return {BlockType<TYPE>::SCALES_AT / 4 + row % 8 * 8 + i / 2, 16 * (i % 2) + row / 8 * 8};
}

// --- single values, for what is not bound by arithmetic -------------------------------------------------------------------

DEVICE u32 bits_of(const u32* unit, Bits at, int count) { return unit[at.word] >> at.bit & ((1u << count) - 1); }
DEVICE float half_of(const u32* unit, Bits at) { return to_float((half_t)bits_of(unit, at, 16)); }

template <int TYPE>
DEVICE int small_of(const u32* unit, int row, int i) {
    u32 value = bits_of(unit, small_bits<TYPE>(row, i), 4);
    if (BlockType<TYPE>::SIX_BITS) value |= bits_of(unit, small_tops<TYPE>(row, i), 2) << 4;
    return (int)value;
}

// Four columns of a row of a unit, from a multiple of 4 on, to the bit as a decoder of the file's blocks in fp32 gives them.
template <int TYPE>
DEVICE void block_values(float (&values)[4], const u32* unit, int row, int column) {
    typedef BlockType<TYPE> T;
    int group = column / T::GROUP;
    float scale, minimum = 0;
    if (T::SCALES == HALVES || T::SCALES == HALVES_AND_MINIMA) {
        scale = half_of(unit, half_bits(T::SCALES_AT, row, 8, group));
        if (T::MINIMA) minimum = half_of(unit, half_bits(T::SCALES_AT + 256, row, 8, group));
    } else {
        float d = half_of(unit, half_bits(T::D_AT, row, 1, 0));
        int s = T::SCALES == BYTES ? (int)bits_of(unit, byte_bits<TYPE>(row, group), 8) - 128
                                   : small_of<TYPE>(unit, row, group) - T::SMALL_ZERO;
        scale = __fmul_rn(d, (float)s);
        if (T::MINIMA) {
            float least = half_of(unit, half_bits(T::D_AT + 32, row, 1, 0));
            minimum = -__fmul_rn(least, (float)small_of<TYPE>(unit, row, T::GROUPS + group));
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int code = (int)bits_of(unit, code_bits<T::LOW, T::TABLE>(0, row, column + i), T::LOW);
        if (T::HIGH > 0) {
            constexpr int B = T::HIGH > 0 ? T::HIGH : 1;
            code |= (int)bits_of(unit, code_bits<B, false>(T::HIGH_AT, row, column + i), B) << T::LOW;
        }
        int q = T::TABLE ? table_value<TYPE>(code) : code - T::ZERO;
        values[i] = __fmul_rn(scale, (float)q);
        if (T::MINIMA) values[i] = __fadd_rn(values[i], minimum);
    }
}
