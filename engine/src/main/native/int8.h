/*
 * Activations as signed bytes with a scale for each 32: what a group of weights adds to the sum of its row. fp32.h has
 * the same functions. Products and their sums over a group are exact.
 */
#include "vectors.h"

/* Prepared rows: each has bytes, then scales, then sums of what the bytes stand for by 32 and by 16, then room. */
typedef struct {
    const i8 *values;
    const float *scales;
    const float *sums32;
    const float *sums16;
    i64 stride; /* bytes from one row to the next */
    int rows;
    int twos; /* whether they are IN_TWOS, or PAIRS_IN_TWOS */
} activations;

INLINE activations prepared(const float *x, i64 columns, i64 stride, int rows) {
    const float *scales = x + columns / 4;
    return (activations){(const i8 *)x, scales, scales + columns / 32, scales + columns / 16, 4 * stride, rows, 0};
}

/* Says whether rows of some type take activations IN_TWOS, which only AVX2 gains by. */
INLINE void take_twos(activations *x, int twos) {
#if defined(__x86_64__) && !defined(__AVX512F__)
    x->twos = twos;
#endif
}

typedef struct {
    f32x8 products[2]; /* by turns, so that one addition need not wait for the one before */
    f32x8 minima;
} row_sums;

INLINE float total(const row_sums *s) { return sum8(s->products[0] + s->products[1]) - sum8(s->minima); }

#include "together.h"

/* The factors of eight groups of 32 weights from input k on: those of row r begin at r times 8. */
INLINE void factors32(const activations *x, i64 k, f32x8 scales, float *to) {
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        KEPT(to + 8 * r, scales * LOAD(f32x8, OF_ROW(r, x->scales + k / 32)), 8)
    }
}

/*
 * The factors of groups that are taken in twos, eight of 32 weights or sixteen of 16. A half of the lanes has those of
 * even groups, the other those of odd ones: to spread a pair over the lanes of its products then takes no memory.
 */
typedef struct {
    f32x8 of[TOGETHER];
} pairs8;
typedef struct {
    f32x8 of[TOGETHER][2];
} pairs16;
#define EVEN_ODD(v) __builtin_shufflevector(v, v, 0, 2, 4, 6, 1, 3, 5, 7)

INLINE void pair_factors32(const activations *x, i64 k, f32x8 scales, pairs8 *to) {
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        to->of[r] = EVEN_ODD(scales * LOAD(f32x8, OF_ROW(r, x->scales + k / 32)));
    }
}
INLINE void pair_factors16(const activations *x, i64 k, f32x16 scales, pairs16 *to) {
    f32x8 first = EVEN_ODD(low8(scales)), second = EVEN_ODD(high8(scales));
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        f32x8 of = LOAD(f32x8, OF_ROW(r, x->scales + k / 32));
        to->of[r][0] = first * __builtin_shufflevector(of, of, 0, 1, 2, 3, 0, 1, 2, 3);
        to->of[r][1] = second * __builtin_shufflevector(of, of, 4, 5, 6, 7, 4, 5, 6, 7);
    }
}

/* Those of pair 0 to 3, over the lanes of its products. */
INLINE f32x8 spread_pair(f32x8 v, int pair) {
    switch (pair) {
        case 0: return __builtin_shufflevector(v, v, 0, 0, 0, 0, 4, 4, 4, 4);
        case 1: return __builtin_shufflevector(v, v, 1, 1, 1, 1, 5, 5, 5, 5);
        case 2: return __builtin_shufflevector(v, v, 2, 2, 2, 2, 6, 6, 6, 6);
        default: return __builtin_shufflevector(v, v, 3, 3, 3, 3, 7, 7, 7, 7);
    }
}

INLINE void add_dots(sums *s, int r, i32x8 dots, f32x8 factors, int turn) {
    s->of[r].products[turn] = FMA(CONVERT(f32x8, dots), factors, s->of[r].products[turn]);
}
INLINE f32x8 both(const float *factors) {
    float a = factors[0], b = factors[1];
    return (f32x8){a, a, a, a, b, b, b, b};
}

/* What nibbles stand for. */
INLINE u8x32 values_of(u8x32 q, const table *t) {
    return t->is_signed ? join((u8x16)looked_up(t->bytes, low16(q)), (u8x16)looked_up(t->bytes, high16(q))) : q;
}
INLINE i32x8 add_values(i32x8 sum, u8x32 v, i8x32 x, const table *t) {
    return t->is_signed ? signed_dot(sum, (i8x32)v, x) : dot(sum, v, x);
}

/* Nibbles of 16 bytes: the low ones are weights k to k + 15, the high ones the next 16. */
INLINE void add_nibbles(sums *s, const activations *x, i64 k, u8x16 q, const table *t, const float *factors) {
    u8x32 v = values_of(join(q & 15, q >> 4), t);
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        i32x8 dots = add_values((i32x8){}, v, LOAD(i8x32, OF_ROW(r, x->values + k)), t);
        add_dots(s, r, dots, (f32x8){} + factors[8 * r], 0);
    }
}

/*
 * Two such blocks, one after another: their sums take a half of the lanes each. Where activations are IN_TWOS, the
 * first halves of both blocks lie before the second ones.
 */
INLINE i32x8 two_nibbles(const i8 *values, u8x32 low, u8x32 high, const table *t, int twos) {
    u8x32 first = twos ? LOAD(u8x32, values) : join(LOAD(u8x16, values), LOAD(u8x16, values + 32));
    u8x32 second = twos ? LOAD(u8x32, values + 32) : join(LOAD(u8x16, values + 16), LOAD(u8x16, values + 48));
    return t->is_signed ? signed_dot(signed_dot((i32x8){}, (i8x32)low, (i8x32)first), (i8x32)high, (i8x32)second)
                        : dot_both(low, (i8x32)first, high, (i8x32)second);
}
INLINE void add_two_nibbles(
        sums *s, const activations *x, i64 k, u8x16 q, u8x16 next, const table *t, const float *factors, int turn) {
    u8x32 pairs = join(q, next), low = values_of(pairs & 15, t), high = values_of(pairs >> 4, t);
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        i32x8 dots = two_nibbles(OF_ROW(r, x->values + k), low, high, t, x->twos);
        add_dots(s, r, dots, both(factors + 8 * r), turn);
    }
}

/* The same of blocks 2 pair and 2 pair + 1 from input k on. */
INLINE void add_pair(
        sums *s, const activations *x, i64 k, u8x16 q, u8x16 next, const table *t, const pairs8 *factors, int pair) {
    u8x32 both = join(q, next), low = values_of(both & 15, t), high = values_of(both >> 4, t);
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        i32x8 dots = two_nibbles(OF_ROW(r, x->values + k + 64 * pair), low, high, t, x->twos);
        add_dots(s, r, dots, spread_pair(factors->of[r], pair), pair & 1);
    }
}

/* 32 bytes of one scale. */
INLINE void add_bytes(sums *s, const activations *x, i64 k, u8x32 v, const float *factor, int turn) {
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        i32x8 dots = dot((i32x8){}, v, LOAD(i8x32, OF_ROW(r, x->values + k)));
        add_dots(s, r, dots, (f32x8){} + factor[8 * r], turn);
    }
}
INLINE void add_signed(sums *s, const activations *x, i64 k, i8x32 v, const float *factor, int turn) {
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        i32x8 dots = signed_dot((i32x8){}, v, LOAD(i8x32, OF_ROW(r, x->values + k)));
        add_dots(s, r, dots, (f32x8){} + factor[8 * r], turn);
    }
}

/* Nibbles of 32 bytes: the low ones are weights k to k + 31, the high ones the next 32, of another scale. */
INLINE void add_nibbles64(sums *s, const activations *x, i64 k, u8x32 q, const table *t, const float *factors) {
    add_bytes(s, x, k, q & 15, factors, 0);
    add_bytes(s, x, k + 32, q >> 4, factors + 1, 1);
}

/* 32 bytes, 16 of each of two scales: groups 2 pair and 2 pair + 1 from input k on. */
INLINE void add_bytes16(sums *s, const activations *x, i64 k, u8x32 v, const pairs16 *factors, int pair) {
    UNROLL
    for (int r = 0; r < x->rows; r++) {
        i32x8 dots = dot((i32x8){}, v, LOAD(i8x32, OF_ROW(r, x->values + k + 32 * pair)));
        add_dots(s, r, dots, spread_pair(factors->of[r][pair / 4], pair % 4), pair & 1);
    }
}
