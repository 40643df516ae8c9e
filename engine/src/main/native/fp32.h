/* Activations as fp32 numbers: what a group of weights adds to the sum of its row. */
#ifndef NIBBLE_FP32_H
#define NIBBLE_FP32_H
#include "vectors.h"

/* A prepared row: the numbers, then their sums by 32, then by 16. */
typedef struct {
    const float *values;
    const float *sums32;
    const float *sums16;
} activations;

INLINE activations prepared(const float *x, i64 columns) {
    return (activations){x, x + columns, x + columns + columns / 32};
}

typedef struct {
    f32x16 products;
    f32x16 more;
    f32x8 minima;
} sums;

INLINE float total(const sums *s) { return sum16(s->products + s->more) - sum8(s->minima); }

/* 32 weights of one scale. */
INLINE void add_floats(sums *s, const activations *x, i64 k, f32x16 first, f32x16 second, float scale) {
    f32x16 t = first * LOAD(f32x16, x->values + k);
    t = FMA(second, LOAD(f32x16, x->values + k + 16), t);
    s->products = FMA(t, splat(scale), s->products);
}

/* Nibbles of 16 bytes: the low ones are weights k to k + 15, the high ones the next 16. */
INLINE void add_nibbles(sums *s, const activations *x, i64 k, u8x16 q, const table *t, float scale) {
    f32x16 low, high;
    nibbles(t, q, &low, &high);
    add_floats(s, x, k, low, high, scale);
}

/* Nibbles of 32 bytes: the low ones are weights k to k + 31, the high ones the next 32, of another scale. */
INLINE void add_nibbles64(sums *s, const activations *x, i64 k, u8x32 q, const table *t, const float *scales) {
    f32x16 a, b, c, d;
    nibbles(t, low16(q), &a, &c);
    nibbles(t, high16(q), &b, &d);
    add_floats(s, x, k, a, b, scales[0]);
    add_floats(s, x, k + 32, c, d, scales[1]);
}

/* 32 signed bytes of one scale. */
INLINE void add_bytes(sums *s, const activations *x, i64 k, i8x32 v, float scale) {
    add_floats(s, x, k, CONVERT(f32x16, (i8x16)low16((u8x32)v)), CONVERT(f32x16, (i8x16)high16((u8x32)v)), scale);
}

/* 32 signed bytes, 16 of each of two scales. */
INLINE void add_bytes16(sums *s, const activations *x, i64 k, i8x32 v, const float *scales) {
    f32x16 first = CONVERT(f32x16, (i8x16)low16((u8x32)v)) * LOAD(f32x16, x->values + k);
    f32x16 second = CONVERT(f32x16, (i8x16)high16((u8x32)v)) * LOAD(f32x16, x->values + k + 16);
    s->products = FMA(first, splat(scales[0]), s->products);
    s->more = FMA(second, splat(scales[1]), s->more);
}
#endif
