/* Activations as fp32 numbers: what a group of weights adds to the sum of its row. int8.h has the same functions. */
#include "vectors.h"

/* Prepared rows: each has the numbers, then their sums by 32, then by 16, then room that loads may touch. */
typedef struct {
    const float *values;
    const float *sums32;
    const float *sums16;
    i64 stride; /* bytes from one row to the next */
    int rows;
} activations;

INLINE activations prepared(const float *x, i64 columns, i64 stride, int rows) {
    return (activations){x, x + columns, x + columns + columns / 32, 4 * stride, rows};
}

/* Only activations in bytes have such a form. */
INLINE void take_twos(activations *x, int twos) {}

typedef struct {
    f32x16 products[2]; /* by turns, so that one addition need not wait for the one before */
    f32x8 minima;
} row_sums;

INLINE float total(const row_sums *s) { return sum16(s->products[0] + s->products[1]) - sum8(s->minima); }

#include "together.h"

/* The factors of eight groups of 32 weights from input k on: the same for all rows. */
INLINE void factors32(const activations *x, i64 k, f32x8 scales, float to[8]) { KEPT(to, scales, 8) }

/* The same, for weights that `add_pair` and `add_bytes16` take: two groups at a time. */
typedef struct {
    float of[8];
} pairs8;
typedef struct {
    float of[16];
} pairs16;
INLINE void pair_factors32(const activations *x, i64 k, f32x8 scales, pairs8 *to) { KEPT(to->of, scales, 8) }
INLINE void pair_factors16(const activations *x, i64 k, f32x16 scales, pairs16 *to) { KEPT(to->of, scales, 16) }

/* 32 weights of one scale. */
INLINE void add_floats(
        sums *s, const activations *x, i64 k, f32x16 first, f32x16 second, float factor, int turn) {
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        const float *values = OF_ROW(r, x->values + k);
        f32x16 t = FMA(second, LOAD(f32x16, values + 16), first * LOAD(f32x16, values));
        s->of[r].products[turn] = FMA(t, splat(factor), s->of[r].products[turn]);
    }
}

/* Nibbles of 16 bytes: the low ones are weights k to k + 15, the high ones the next 16. */
INLINE void add_nibbles(sums *s, const activations *x, i64 k, u8x16 q, const table *t, const float *factors) {
    f32x16 low, high;
    nibbles(t, q, &low, &high);
    add_floats(s, x, k, low, high, factors[0], 0);
}

/* Two such blocks, one after another. */
INLINE void add_two_nibbles(
        sums *s, const activations *x, i64 k, u8x16 q, u8x16 next, const table *t, const float *factors, int turn) {
    f32x16 low, high;
    add_nibbles(s, x, k, q, t, factors);
    nibbles(t, next, &low, &high);
    add_floats(s, x, k + 32, low, high, factors[1], 1);
}

/* The same of blocks 2 pair and 2 pair + 1 from input k on. */
INLINE void add_pair(
        sums *s, const activations *x, i64 k, u8x16 q, u8x16 next, const table *t, const pairs8 *factors, int pair) {
    add_two_nibbles(s, x, k + 64 * pair, q, next, t, factors->of + 2 * pair, pair & 1);
}

/* Nibbles of 32 bytes: the low ones are weights k to k + 31, the high ones the next 32, of another scale. */
INLINE void add_nibbles64(sums *s, const activations *x, i64 k, u8x32 q, const table *t, const float *factors) {
    f32x16 a, b, c, d;
    nibbles(t, low16(q), &a, &c);
    nibbles(t, high16(q), &b, &d);
    add_floats(s, x, k, a, b, factors[0], 0);
    add_floats(s, x, k + 32, c, d, factors[1], 1);
}

/* 32 bytes of one scale. */
INLINE void add_bytes(sums *s, const activations *x, i64 k, u8x32 v, const float *factor, int turn) {
    add_floats(s, x, k, CONVERT(f32x16, low16(v)), CONVERT(f32x16, high16(v)), *factor, turn);
}
INLINE void add_signed(sums *s, const activations *x, i64 k, i8x32 v, const float *factor, int turn) {
    f32x16 first = CONVERT(f32x16, (i8x16)low16((u8x32)v));
    add_floats(s, x, k, first, CONVERT(f32x16, (i8x16)high16((u8x32)v)), *factor, turn);
}

/* 32 bytes, 16 of each of two scales: groups 2 pair and 2 pair + 1 from input k on. */
INLINE void add_bytes16(sums *s, const activations *x, i64 k, u8x32 v, const pairs16 *all, int pair) {
    const float *factors = all->of + 2 * pair;
    f32x16 low = CONVERT(f32x16, low16(v)), high = CONVERT(f32x16, high16(v));
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        const float *values = OF_ROW(r, x->values + k + 32 * pair);
        f32x16 first = low * LOAD(f32x16, values), second = high * LOAD(f32x16, values + 16);
        s->of[r].products[0] = FMA(first, splat(factors[0]), s->of[r].products[0]);
        s->of[r].products[1] = FMA(second, splat(factors[1]), s->of[r].products[1]);
    }
}
