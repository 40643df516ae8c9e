/*
 * Activations as signed bytes with a scale for each 32: what a group of weights adds to the sum of its row. fp32.h has
 * the same functions. Products and their sums over a group are exact.
 */
#include "vectors.h"

/* A prepared row: bytes, then scales, then sums of what the bytes stand for by 32 and by 16, then room. */
typedef struct {
    const i8 *values;
    const float *scales;
    const float *sums32;
    const float *sums16;
} activations;

INLINE activations prepared(const float *x, i64 columns) {
    const float *scales = x + columns / 4;
    return (activations){(const i8 *)x, scales, scales + columns / 32, scales + columns / 16};
}

typedef struct {
    f32x8 products[2]; /* by turns, so that one addition need not wait for the one before */
    f32x8 minima;
} sums;

INLINE float total(const sums *s) { return sum8(s->products[0] + s->products[1]) - sum8(s->minima); }

/* The factors of eight groups of 32 weights, or of sixteen of 16, from input k on. */
INLINE void factors32(const activations *x, i64 k, f32x8 scales, float to[8]) {
    KEPT(to, scales * LOAD(f32x8, x->scales + k / 32), 8)
}
INLINE void factors16(const activations *x, i64 k, f32x16 scales, float to[16]) {
    f32x8 one = LOAD(f32x8, x->scales + k / 32);
    f32x16 both = __builtin_shufflevector(one, one, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    KEPT(to, scales * both, 16)
}

INLINE void add_dots(sums *s, i32x8 dots, f32x8 factors, int turn) {
    s->products[turn] = FMA(CONVERT(f32x8, dots), factors, s->products[turn]);
}
INLINE f32x8 both(const float *factors) {
    float a = factors[0], b = factors[1];
    return (f32x8){a, a, a, a, b, b, b, b};
}

INLINE i32x8 add_values(i32x8 sum, u8x32 q, i8x32 x, const table *t) {
    if (t->is_signed) {
        u8x32 v = join((u8x16)looked_up(t->bytes, low16(q)), (u8x16)looked_up(t->bytes, high16(q)));
        return signed_dot(sum, (i8x32)v, x);
    }
    return dot(sum, q, x);
}

/* Nibbles of 16 bytes: the low ones are weights k to k + 15, the high ones the next 16. */
INLINE void add_nibbles(sums *s, const activations *x, i64 k, u8x16 q, const table *t, const float *factors) {
    i32x8 dots = add_values((i32x8){}, join(q & 15, q >> 4), LOAD(i8x32, x->values + k), t);
    add_dots(s, dots, (f32x8){} + factors[0], 0);
}

/* Two such blocks, one after another: their sums take a half of the lanes each. */
INLINE void add_two_nibbles(
        sums *s, const activations *x, i64 k, u8x16 q, u8x16 next, const table *t, const float *factors, int turn) {
    u8x32 pairs = join(q, next);
    u8x32 first = join(LOAD(u8x16, x->values + k), LOAD(u8x16, x->values + k + 32));
    u8x32 second = join(LOAD(u8x16, x->values + k + 16), LOAD(u8x16, x->values + k + 48));
    i32x8 dots = add_values((i32x8){}, pairs & 15, (i8x32)first, t);
    add_dots(s, add_values(dots, pairs >> 4, (i8x32)second, t), both(factors), turn);
}

/* Nibbles of 32 bytes: the low ones are weights k to k + 31, the high ones the next 32, of another scale. */
INLINE void add_nibbles64(sums *s, const activations *x, i64 k, u8x32 q, const table *t, const float *factors) {
    i32x8 low = add_values((i32x8){}, q & 15, LOAD(i8x32, x->values + k), t);
    i32x8 high = add_values((i32x8){}, q >> 4, LOAD(i8x32, x->values + k + 32), t);
    add_dots(s, low, (f32x8){} + factors[0], 0);
    add_dots(s, high, (f32x8){} + factors[1], 1);
}

/* 32 bytes of one scale. */
INLINE void add_bytes(sums *s, const activations *x, i64 k, u8x32 v, float factor, int turn) {
    add_dots(s, dot((i32x8){}, v, LOAD(i8x32, x->values + k)), (f32x8){} + factor, turn);
}
INLINE void add_signed(sums *s, const activations *x, i64 k, i8x32 v, float factor, int turn) {
    add_dots(s, signed_dot((i32x8){}, v, LOAD(i8x32, x->values + k)), (f32x8){} + factor, turn);
}

/* 32 bytes, 16 of each of two scales. */
INLINE void add_bytes16(sums *s, const activations *x, i64 k, u8x32 v, const float *factors, int turn) {
    add_dots(s, dot((i32x8){}, v, LOAD(i8x32, x->values + k)), both(factors), turn);
}
