/*
 * The products of GGUF's blocks: each function adds the weights of one block of 256, or of up to eight blocks of 32, to
 * the sums of its row with some rows of activations; they begin at input k. The layouts are those that BlockDecoder and
 * KBlocks state. Codes stay above zero: what they are too large by counts as a minimum of their group.
 */
#include "scales.h"

static const i8x16 PLAIN = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const i8x16 IQ4 = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* Twice the values of MXFP4's codes: a sign, two bits of exponent and one of fraction. */
static const i8x16 E2M1 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* Bytes of ones where the bit of `high` is set: bit j for byte j. */
INLINE u8x16 bits(u16 high) {
    const u8x16 place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    u8x16 v = (u8x16)((VECTOR(u16, 16)){} + high);
    v = __builtin_shufflevector(v, v, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    return (u8x16)((v & place) == place);
}

/* The numbers of 16 pairs of nibbles, low ones first, with fifth bits from `high`. */
INLINE u8x32 five_bits(u8x16 q, u32 high) {
    return join((q & 15) | (bits((u16)high) & 16), (q >> 4) | (bits((u16)(high >> 16)) & 16));
}

/* Blocks of nibbles, which begin at byte `first`. */
INLINE void nibble_blocks(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count, i64 bytes,
        i64 first, f32x8 scales) {
    if (count == 8) {
        pairs8 factors;
        pair_factors32(x, k, scales, &factors);
        UNROLL
        for (int pair = 0; pair < 4; pair++) {
            const u8 *q = b + 2 * pair * bytes + first;
            add_pair(s, x, k, LOAD(u8x16, q), LOAD(u8x16, q + bytes), t, &factors, pair);
        }
        return;
    }
    float factors[8 * TOGETHER];
    factors32(x, k, scales, factors);
    i64 i = 0;
    for (; i + 2 <= count; i += 2) {
        const u8 *q = b + i * bytes + first;
        add_two_nibbles(s, x, k + 32 * i, LOAD(u8x16, q), LOAD(u8x16, q + bytes), t, factors + i, i / 2 & 1);
    }
    if (i < count) {
        add_nibbles(s, x, k + 32 * i, LOAD(u8x16, b + i * bytes + first), t, factors + i);
    }
}

/* Blocks of nibbles with fifth bits before them, which begin at byte `first`. */
INLINE void five_bit_blocks(sums *s, const activations *x, i64 k, const u8 *b, i64 count, i64 bytes, i64 first,
        f32x8 scales) {
    float factors[8 * TOGETHER];
    factors32(x, k, scales, factors);
    for (i64 i = 0; i < count; i++) {
        const u8 *q = b + i * bytes + first;
        add_bytes(s, x, k + 32 * i, five_bits(LOAD(u8x16, q + 4), LOAD(u32, q)), factors + i, i & 1);
    }
}

INLINE void block_Q4_0(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    f32x8 d = halves_of(b, 18, count);
    subtract_minima32(s, x, k, d * 8);
    nibble_blocks(s, x, k, b, t, count, 18, 2, d);
}

INLINE void block_Q4_1(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    subtract_minima32(s, x, k, -halves_of(b + 2, 20, count));
    nibble_blocks(s, x, k, b, t, count, 20, 4, halves_of(b, 20, count));
}

INLINE void block_Q5_0(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    f32x8 d = halves_of(b, 22, count);
    subtract_minima32(s, x, k, d * 16);
    five_bit_blocks(s, x, k, b, count, 22, 2, d);
}

INLINE void block_Q5_1(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    subtract_minima32(s, x, k, -halves_of(b + 2, 24, count));
    five_bit_blocks(s, x, k, b, count, 24, 4, halves_of(b, 24, count));
}

INLINE void block_Q8_0(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    float factors[8 * TOGETHER];
    factors32(x, k, halves_of(b, 34, count), factors);
    for (i64 i = 0; i < count; i++) {
        add_signed(s, x, k + 32 * i, LOAD(i8x32, b + 34 * i + 2), factors + i, i & 1);
    }
}

INLINE void block_IQ4_NL(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    nibble_blocks(s, x, k, b, t, count, 18, 2, halves_of(b, 18, count));
}

INLINE void block_MXFP4(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    nibble_blocks(s, x, k, b, t, count, 17, 1, halves_of_powers(b, 17, count));
}

INLINE void block_IQ4_XS(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    nibble_blocks(s, x, k, b + 8, t, 8, 16, 0, scales_IQ4_XS(b));
}

INLINE void block_Q2_K(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    pairs16 factors;
    u8x16 both = LOAD(u8x16, b);
    pair_factors16(x, k, CONVERT(f32x16, both & 15) * half(b + 80), &factors);
    subtract_minima16(s, x, k, CONVERT(f32x16, both >> 4) * half(b + 82));
    UNROLL
    for (int h = 0; h < 2; h++) {
        u8x32 q = LOAD(u8x32, b + 16 + 32 * h);
        UNROLL
        for (int j = 0; j < 4; j++) {
            add_bytes16(s, x, k, q >> (u8)(2 * j) & 3, &factors, 4 * h + j);
        }
    }
}

INLINE void block_Q3_K(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    pairs16 factors;
    f32x16 scales = scales_Q3_K(b);
    pair_factors16(x, k, scales, &factors);
    subtract_minima16(s, x, k, scales * 4);
    u8x32 high = LOAD(u8x32, b);
    UNROLL
    for (int h = 0; h < 2; h++) {
        u8x32 q = LOAD(u8x32, b + 32 + 32 * h);
        UNROLL
        for (int j = 0; j < 4; j++) {
            u8x32 v = (q >> (u8)(2 * j) & 3) | (high >> (u8)(4 * h + j) & 1) << 2;
            add_bytes16(s, x, k, v, &factors, 4 * h + j);
        }
    }
}

INLINE void block_Q4_K(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    float factors[8 * TOGETHER];
    f32x8 scales;
    subtract_minima32(s, x, k, scales_Q45_K(b, &scales));
    factors32(x, k, scales, factors);
    UNROLL
    for (int j = 0; j < 4; j++) {
        add_nibbles64(s, x, k + 64 * j, LOAD(u8x32, b + 16 + 32 * j), t, factors + 2 * j);
    }
}

INLINE void block_Q5_K(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    float factors[8 * TOGETHER];
    f32x8 scales;
    subtract_minima32(s, x, k, scales_Q45_K(b, &scales));
    factors32(x, k, scales, factors);
    u8x32 high = LOAD(u8x32, b + 16);
    UNROLL
    for (int j = 0; j < 4; j++) {
        u8x32 q = LOAD(u8x32, b + 48 + 32 * j);
        u8x32 low = (q & 15) | (high >> (u8)(2 * j) & 1) << 4;
        u8x32 upper = (q >> 4) | (high >> (u8)(2 * j + 1) & 1) << 4;
        add_bytes(s, x, k + 64 * j, low, factors + 2 * j, 0);
        add_bytes(s, x, k + 64 * j + 32, upper, factors + 2 * j + 1, 1);
    }
}

INLINE void block_Q6_K(sums *s, const activations *x, i64 k, const u8 *b, const table *t, i64 count) {
    pairs16 factors;
    f32x16 scales = CONVERT(f32x16, LOAD(i8x16, b + 192)) * half(b + 208);
    pair_factors16(x, k, scales, &factors);
    subtract_minima16(s, x, k, scales * 32);
    UNROLL
    for (int h = 0; h < 2; h++) {
        u8x32 first = LOAD(u8x32, b + 64 * h);
        u8x32 second = LOAD(u8x32, b + 64 * h + 32);
        u8x32 high = LOAD(u8x32, b + 128 + 32 * h);
        UNROLL
        for (int j = 0; j < 4; j++) {
            u8x32 q = j % 2 == 0 ? first : second;
            u8x32 v = (j < 2 ? q & 15 : q >> 4) | (high >> (u8)(2 * j) & 3) << 4;
            add_bytes16(s, x, k, v, &factors, 4 * h + j);
        }
    }
}
