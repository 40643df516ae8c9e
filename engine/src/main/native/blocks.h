/*
 * The products of GGUF's blocks: each function adds one block's weights, which begin at input k, to the sums of its
 * row. The layouts are those that BlockDecoder and KBlocks state.
 */
#include "scales.h"

static const i8x16 PLAIN = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const i8x16 LESS_8 = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
static const i8x16 IQ4 = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

INLINE void block_Q4_0(sums *s, const activations *x, i64 k, const u8 *b, const table *t) {
    add_nibbles(s, x, k, LOAD(u8x16, b + 2), t, half(b));
}

INLINE void block_Q4_1(sums *s, const activations *x, i64 k, const u8 *b, const table *t) {
    add_nibbles(s, x, k, LOAD(u8x16, b + 4), t, half(b));
    subtract_minimum(s, x, k, -half(b + 2));
}

/* Bytes of ones where the bit of `high` is set: bit j for byte j. */
INLINE u8x16 bits(u16 high) {
    const u8x16 place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    u8x16 v = (u8x16)((VECTOR(u16, 16)){} + high);
    v = __builtin_shufflevector(v, v, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    return (u8x16)((v & place) == place);
}

/* The numbers of 16 pairs of nibbles, low ones first, with fifth bits from `high`. */
INLINE i8x32 five_bits(u8x16 q, u32 high) {
    return (i8x32)join((q & 15) | (bits((u16)high) & 16), (q >> 4) | (bits((u16)(high >> 16)) & 16));
}

INLINE void block_Q5_0(sums *s, const activations *x, i64 k, const u8 *b, const table *t) {
    add_bytes(s, x, k, five_bits(LOAD(u8x16, b + 6), LOAD(u32, b + 2)) - 16, half(b));
}

INLINE void block_Q5_1(sums *s, const activations *x, i64 k, const u8 *b, const table *t) {
    add_bytes(s, x, k, five_bits(LOAD(u8x16, b + 8), LOAD(u32, b + 4)), half(b));
    subtract_minimum(s, x, k, -half(b + 2));
}

INLINE void block_Q8_0(sums *s, const activations *x, i64 k, const u8 *b, const table *t) {
    add_bytes(s, x, k, LOAD(i8x32, b + 2), half(b));
}

#define block_IQ4_NL block_Q4_0

INLINE void block_IQ4_XS(sums *s, const activations *x, i64 k, const u8 *b, const table *t) {
    float scales[8];
    scales_IQ4_XS(b, scales);
    for (int g = 0; g < 8; g++) {
        add_nibbles(s, x, k + 32 * g, LOAD(u8x16, b + 8 + 16 * g), t, scales[g]);
    }
}

INLINE void block_Q2_K(sums *s, const activations *x, i64 k, const u8 *b, const table *t) {
    float scales[16];
    u8x16 both = LOAD(u8x16, b);
    STORE(scales, CONVERT(f32x16, both & 15) * half(b + 80));
    KEEP(scales);
    subtract_minima16(s, x, k, CONVERT(f32x16, both >> 4) * half(b + 82));
    for (int h = 0; h < 2; h++) {
        u8x32 q = LOAD(u8x32, b + 16 + 32 * h);
        for (int j = 0; j < 4; j++) {
            add_bytes16(s, x, k + 128 * h + 32 * j, (i8x32)(q >> (u8)(2 * j) & 3), scales + 8 * h + 2 * j);
        }
    }
}

INLINE void block_Q3_K(sums *s, const activations *x, i64 k, const u8 *b, const table *t) {
    float scales[16];
    scales_Q3_K(b, scales);
    u8x32 high = LOAD(u8x32, b);
    for (int h = 0; h < 2; h++) {
        u8x32 q = LOAD(u8x32, b + 32 + 32 * h);
        for (int j = 0; j < 4; j++) {
            u8x32 v = (q >> (u8)(2 * j) & 3) | (high >> (u8)(4 * h + j) & 1) << 2;
            add_bytes16(s, x, k + 128 * h + 32 * j, (i8x32)v - 4, scales + 8 * h + 2 * j);
        }
    }
}

INLINE void block_Q4_K(sums *s, const activations *x, i64 k, const u8 *b, const table *t) {
    float scales[8];
    subtract_minima32(s, x, k, scales_Q45_K(b, scales));
    for (int j = 0; j < 4; j++) {
        add_nibbles64(s, x, k + 64 * j, LOAD(u8x32, b + 16 + 32 * j), t, scales + 2 * j);
    }
}

INLINE void block_Q5_K(sums *s, const activations *x, i64 k, const u8 *b, const table *t) {
    float scales[8];
    subtract_minima32(s, x, k, scales_Q45_K(b, scales));
    u8x32 high = LOAD(u8x32, b + 16);
    for (int j = 0; j < 4; j++) {
        u8x32 q = LOAD(u8x32, b + 48 + 32 * j);
        u8x32 low = (q & 15) | (high >> (u8)(2 * j) & 1) << 4;
        u8x32 upper = (q >> 4) | (high >> (u8)(2 * j + 1) & 1) << 4;
        add_bytes(s, x, k + 64 * j, (i8x32)low, scales[2 * j]);
        add_bytes(s, x, k + 64 * j + 32, (i8x32)upper, scales[2 * j + 1]);
    }
}

INLINE void block_Q6_K(sums *s, const activations *x, i64 k, const u8 *b, const table *t) {
    float scales[16];
    STORE(scales, CONVERT(f32x16, LOAD(i8x16, b + 192)) * half(b + 208));
    KEEP(scales);
    for (int h = 0; h < 2; h++) {
        u8x32 first = LOAD(u8x32, b + 64 * h);
        u8x32 second = LOAD(u8x32, b + 64 * h + 32);
        u8x32 high = LOAD(u8x32, b + 128 + 32 * h);
        for (int j = 0; j < 4; j++) {
            u8x32 q = j % 2 == 0 ? first : second;
            u8x32 v = (j < 2 ? q & 15 : q >> 4) | (high >> (u8)(2 * j) & 3) << 4;
            add_bytes16(s, x, k + 128 * h + 32 * j, (i8x32)v - 32, scales + 8 * h + 2 * j);
        }
    }
}
