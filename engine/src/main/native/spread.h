/*
 * Weights spread out: instead of adding to a sum, as fp32.h and int8.h do, each function stores the codes of a group,
 * its scale and its minimum. So blocks.h says here too what the blocks are.
 */
#include "vectors.h"

/* Where they go: codes by columns; scales and minima of each group of 32, or of 16 where the type has such. */
typedef struct {
    i8 *codes;
    float *scales;
    float *minima;
} activations;

typedef struct {
    char none;
} sums;

#define TOGETHER 1

INLINE void factors32(const activations *to, i64 k, f32x8 scales, float factors[8]) {
    STORE(to->scales + k / 32, scales);
}

typedef struct {
    char none;
} pairs8, pairs16;

INLINE void pair_factors32(const activations *to, i64 k, f32x8 scales, pairs8 *factors) {
    STORE(to->scales + k / 32, scales);
}
INLINE void pair_factors16(const activations *to, i64 k, f32x16 scales, pairs16 *factors) {
    STORE(to->scales + k / 16, scales);
}
INLINE void subtract_minima32(sums *s, const activations *to, i64 k, f32x8 minima) {
    STORE(to->minima + k / 32, minima);
}
INLINE void subtract_minima16(sums *s, const activations *to, i64 k, f32x16 minima) {
    STORE(to->minima + k / 16, minima);
}

INLINE void put(const activations *to, i64 k, u8x16 q, const table *t) {
    STORE(to->codes + k, t->is_signed ? looked_up(t->bytes, q) : (i8x16)q);
}

INLINE void add_nibbles(sums *s, const activations *to, i64 k, u8x16 q, const table *t, const float *factors) {
    put(to, k, q & 15, t);
    put(to, k + 16, q >> 4, t);
}
INLINE void add_two_nibbles(
        sums *s, const activations *to, i64 k, u8x16 q, u8x16 next, const table *t, const float *factors, int turn) {
    add_nibbles(s, to, k, q, t, factors);
    add_nibbles(s, to, k + 32, next, t, factors);
}
INLINE void add_pair(
        sums *s, const activations *to, i64 k, u8x16 q, u8x16 next, const table *t, const pairs8 *factors, int pair) {
    put(to, k + 64 * pair, q & 15, t);
    put(to, k + 64 * pair + 16, q >> 4, t);
    put(to, k + 64 * pair + 32, next & 15, t);
    put(to, k + 64 * pair + 48, next >> 4, t);
}
INLINE void add_nibbles64(sums *s, const activations *to, i64 k, u8x32 q, const table *t, const float *factors) {
    STORE(to->codes + k, q & 15);
    STORE(to->codes + k + 32, q >> 4);
}
INLINE void add_bytes(sums *s, const activations *to, i64 k, u8x32 v, const float *factor, int turn) {
    STORE(to->codes + k, v);
}
INLINE void add_signed(sums *s, const activations *to, i64 k, i8x32 v, const float *factor, int turn) {
    STORE(to->codes + k, v);
}
INLINE void add_bytes16(sums *s, const activations *to, i64 k, u8x32 v, const pairs16 *factors, int pair) {
    STORE(to->codes + k + 32 * pair, v);
}
