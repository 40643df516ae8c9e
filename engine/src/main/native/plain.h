/* The products of some rows of plain numbers with some rows of activations. */
#include "matrix.h"

/* GGUF's numbers of the types. */
enum { F32 = 0, F16 = 1, BF16 = 30 };

INLINE i64 plain_bytes(int type) { return type == F32 ? 4 : 2; }

/* Sixteen numbers, or one. */
INLINE f32x16 plain16(int type, const u8 *at) {
    switch (type) {
        case F32: return LOAD(f32x16, at);
        case F16: return CONVERT(f32x16, LOAD(f16x16, at));
        default: return (f32x16)(CONVERT(u32x16, LOAD(u16x16, at)) << 16);
    }
}
INLINE float plain1(int type, const u8 *at) {
    u32 bits = type == BF16 ? (u32)LOAD(u16, at) << 16 : 0;
    return type == F32 ? LOAD(float, at) : type == F16 ? half(at) : LOAD(float, &bits);
}

/*
 * A tile: some rows of weights by some of activations, whose sums stay in registers. Each sum has two parts, by turns,
 * in every tile, so that an output does not depend on how many rows there are. The two rows of weights lie half of all
 * rows apart: each is read in order.
 */
#if defined(__AVX512F__)
#define TILE_ROWS 6
#else
#define TILE_ROWS 2
#endif

INLINE void plain_tile(
        int type, const range *r, i64 row, i64 apart, int weights, const float *x, int rows, float *out) {
    const i64 bytes = plain_bytes(type);
    const u8 *w[2];
    f32x16 s[2][TILE_ROWS][2] = {};
    UNROLL
    for (int n = 0; n < weights; n++) {
        w[n] = r->weights + stored_row(row + n * apart, r->head) * r->columns * bytes;
    }
    i64 k = 0;
    for (; k + 64 <= r->columns; k += 64) {
        UNROLL
        for (int n = 0; n < weights; n++) {
            STREAM(w[n] + bytes * k, 64 * bytes);
        }
        UNROLL
        for (int i = 0; i < 4; i++) {
            f32x16 v[2];
            UNROLL
            for (int n = 0; n < weights; n++) {
                v[n] = plain16(type, w[n] + bytes * (k + 16 * i));
            }
            UNROLL
            for (int m = 0; m < rows; m++) {
                f32x16 a = LOAD(f32x16, x + m * r->stride + k + 16 * i);
                UNROLL
                for (int n = 0; n < weights; n++) {
                    s[n][m][i & 1] = FMA(v[n], a, s[n][m][i & 1]);
                }
            }
        }
    }
    for (; k + 16 <= r->columns; k += 16) {
        UNROLL
        for (int n = 0; n < weights; n++) {
            f32x16 v = plain16(type, w[n] + bytes * k);
            UNROLL
            for (int m = 0; m < rows; m++) {
                s[n][m][0] = FMA(v, LOAD(f32x16, x + m * r->stride + k), s[n][m][0]);
            }
        }
    }
    UNROLL
    for (int n = 0; n < weights; n++) {
        UNROLL
        for (int m = 0; m < rows; m++) {
            float sum = sum16(s[n][m][0] + s[n][m][1]);
            for (i64 l = k; l < r->columns; l++) {
                sum = __builtin_fmaf(plain1(type, w[n] + bytes * l), x[m * r->stride + l], sum);
            }
            out[m * r->outputs + row + n * apart] = sum;
        }
    }
}

/* Two rows of weights by all of activations. */
INLINE void plain_tiles(int type, const range *r, i64 row, i64 apart, const float *x, float *out) {
    i64 m = 0;
    for (; m + TILE_ROWS <= r->rows; m += TILE_ROWS) {
        plain_tile(type, r, row, apart, 2, x + m * r->stride, TILE_ROWS, out + m * r->outputs);
    }
    for (; TILE_ROWS > 4 && m + 4 <= r->rows; m += 4) {
        plain_tile(type, r, row, apart, 2, x + m * r->stride, 4, out + m * r->outputs);
    }
    for (; TILE_ROWS > 2 && m + 2 <= r->rows; m += 2) {
        plain_tile(type, r, row, apart, 2, x + m * r->stride, 2, out + m * r->outputs);
    }
    if (m < r->rows) {
        plain_tile(type, r, row, apart, 2, x + m * r->stride, 1, out + m * r->outputs);
    }
}

INLINE void plain_rows(int type, const range *r, const float *x, float *out) {
    i64 apart = (r->end - r->first) / 2;
    for (i64 row = r->first; row < r->first + apart; row++) {
        plain_tiles(type, r, row, apart, x, out);
    }
    for (i64 m = 0; m < r->rows && (r->end - r->first) % 2; m++) {
        plain_tile(type, r, r->end - 1, 0, 1, x + m * r->stride, 1, out + m * r->outputs);
    }
}
