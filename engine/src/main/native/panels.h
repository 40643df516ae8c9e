/*
 * Products in fp32 of rows with a panel: 32 columns of a matrix, whose element i, j is at i * 32 + j. Every sum runs
 * over i in order by fused multiply-add, so that results have the bits of the Vector API's kernel (MicroKernel).
 */
#include "vectors.h"

#define PANEL 32

/* Rows whose sums stay in registers together, and vectors of 16 columns. */
#if defined(__AVX512F__)
#define TILE_OF_PANEL 8
#define WIDTH_OF_PANEL 2
#else
#define TILE_OF_PANEL 6
#define WIDTH_OF_PANEL 1
#endif

/* A number in all lanes by the load that reads it. */
INLINE f32x16 broadcast(const float *at) {
    f32x16 v = {*at};
    return __builtin_shufflevector(v, v, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

INLINE void panel_tile(int rows, i64 depth, const float *a, i64 a_stride, const float *b, float *c, i64 c_stride,
        i64 accumulate) {
    f32x16 s[TILE_OF_PANEL][WIDTH_OF_PANEL] = {};
    for (i64 i = 0; i < depth; i++) {
        f32x16 v[WIDTH_OF_PANEL];
        UNROLL for (int j = 0; j < WIDTH_OF_PANEL; j++) {
            v[j] = LOAD(f32x16, b + i * PANEL + 16 * j);
        }
        UNROLL for (int r = 0; r < rows; r++) {
            f32x16 x = broadcast(a + r * a_stride + i);
            UNROLL for (int j = 0; j < WIDTH_OF_PANEL; j++) {
                s[r][j] = FMA(x, v[j], s[r][j]);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int j = 0; j < WIDTH_OF_PANEL; j++) {
            float *to = c + r * c_stride + 16 * j;
            STORE(to, accumulate ? s[r][j] + LOAD(f32x16, to) : s[r][j]);
        }
    }
}

/* c[r, j] (+)= sum over i of a[r, i] b[i, j] */
INLINE void panel_product(i64 rows, i64 depth, const float *a, i64 a_stride, const float *b, float *c, i64 c_stride,
        i64 accumulate) {
    for (i64 j = 0; j < PANEL; j += 16 * WIDTH_OF_PANEL) {
        i64 r = 0;
#define SOME_ROWS(n)                                                                                                   \
    for (; r + n <= rows; r += n) {                                                                                    \
        panel_tile(n, depth, a + r * a_stride, a_stride, b + j, c + r * c_stride + j, c_stride, accumulate);           \
    }
        SOME_ROWS(TILE_OF_PANEL)
        SOME_ROWS(4)
        SOME_ROWS(2)
        SOME_ROWS(1)
    }
}

/* e^x of x up to 0. */
INLINE double small_exponential(double x) {
    if (!(x >= -740)) {
        return x < -740 ? 0 : x;
    }
    double n = __builtin_elementwise_roundeven(x * 1.4426950408889634);
    double r = FMA(n, -6.93147180369123816490e-01, x);
    r = FMA(n, -1.90821492927058770002e-10, r);
    double p = 1.0 / 6227020800;
    const double factors[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
            1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1, 1};
    UNROLL for (int i = 0; i < 13; i++) {
        p = FMA(p, r, factors[i]);
    }
    /* In two steps: the power alone may be too small for a number. */
    i64 half = (i64)n / 2, bits = (half + 1023) << 52, rest = ((i64)n - half + 1023) << 52;
    return p * LOAD(double, &bits) * LOAD(double, &rest);
}

/*
 * A step of a softmax over chunks of keys: scores become e^(score - most), `state` holds the most so far and the sum of
 * what came out. Where the most grows, that sum and those of values shrink. Scores come in whole vectors.
 */
INLINE void soften_scores(i64 n, i64 width, float *scores, float *state, float *sums) {
    lanes most = (lanes){} - __builtin_inff();
    for (i64 i = 0; i < n; i += WIDTH) {
        lanes s = LOAD(lanes, scores + i);
        most = choose(s > most, s, most);
    }
    float largest = state[0];
    for (int i = 0; i < WIDTH; i++) {
        largest = most[i] > largest ? most[i] : largest;
    }
    if (largest > state[0]) {
        float shrink = (float)small_exponential(state[0] - largest);
        state[0] = largest;
        state[1] *= shrink;
        for (i64 i = 0; i < width; i += 16) {
            STORE(sums + i, LOAD(f32x16, sums + i) * shrink);
        }
    }
    lanes all = {};
    for (i64 i = 0; i < n; i += WIDTH) {
        lanes e = raised(LOAD(lanes, scores + i) - largest);
        STORE(scores + i, e);
        all += e;
    }
    state[1] += SUM(all);
}

/* Turns eight rows of eight columns. */
INLINE void turn_eight(const f32x8 v[8], float *to) {
    f32x8 pairs[8], fours[8];
    UNROLL for (int i = 0; i < 4; i++) {
        f32x8 x = v[2 * i], y = v[2 * i + 1];
        pairs[2 * i] = __builtin_shufflevector(x, y, 0, 8, 1, 9, 4, 12, 5, 13);
        pairs[2 * i + 1] = __builtin_shufflevector(x, y, 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        UNROLL for (int j = 0; j < 2; j++) {
            f32x8 x = pairs[4 * i + j], y = pairs[4 * i + 2 + j];
            fours[4 * i + 2 * j] = __builtin_shufflevector(x, y, 0, 1, 8, 9, 4, 5, 12, 13);
            fours[4 * i + 2 * j + 1] = __builtin_shufflevector(x, y, 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    UNROLL for (int i = 0; i < 4; i++) {
        f32x8 x = fours[i], y = fours[4 + i];
        STORE(to + i * PANEL, __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11));
        STORE(to + (4 + i) * PANEL, __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15));
    }
}

/* Puts columns `from` on of up to 32 rows of plain numbers side by side; what a panel has beside them becomes 0. */
INLINE void fill_panel(int type, i64 head, i64 first, i64 rows, i64 columns, i64 from, i64 depth, const u8 *weights,
        float *to) {
    const i64 bytes = plain_bytes(type);
    const u8 *at[PANEL];
    for (i64 j = 0; j < rows; j++) {
        at[j] = weights + (stored_row(first + j, head) * columns + from) * bytes;
    }
    if (rows < PANEL) {
        for (i64 i = 0; i < depth * PANEL; i++) {
            to[i] = 0;
        }
    }
    i64 whole = depth / 16 * 16, j = 0;
    for (; j + 8 <= rows; j += 8) {
        for (i64 i = 0; i < whole; i += 16) {
            f32x8 low[8], high[8];
            UNROLL for (int k = 0; k < 8; k++) {
                FETCH(at[j + k] + bytes * i + 512);
                f32x16 v = plain16(type, at[j + k] + bytes * i);
                low[k] = low8(v);
                high[k] = high8(v);
            }
            turn_eight(low, to + i * PANEL + j);
            turn_eight(high, to + (i + 8) * PANEL + j);
        }
    }
    for (i64 row = 0; row < rows; row++) {
        for (i64 i = row < j ? whole : 0; i < depth; i++) {
            to[i * PANEL + row] = plain1(type, at[row] + bytes * i);
        }
    }
}
