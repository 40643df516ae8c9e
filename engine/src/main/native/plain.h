/* The products of some rows of plain numbers with some rows of activations. */
#include "matrix.h"

#define PLAIN_ROWS(type, bytes, vector, scalar)                                                                        \
    static void rows_##type(const range *r, const float *activations, float *out) {                                    \
        for (i64 row = r->first; row < r->end; row++) {                                                                \
            const u8 *w = r->weights + stored_row(row, r->head) * r->columns * bytes;                                  \
            for (i64 m = 0; m < r->rows; m++) {                                                                        \
                const float *x = activations + m * r->stride;                                                          \
                f32x16 s[4] = {};                                                                                      \
                i64 k = 0;                                                                                             \
                for (; k + 64 <= r->columns; k += 64) {                                                                \
                    STREAM(w + bytes * k, 64 * bytes);                                                                 \
                    for (int i = 0; i < 4; i++) {                                                                      \
                        s[i] = FMA(vector(w + bytes * (k + 16 * i)), LOAD(f32x16, x + k + 16 * i), s[i]);              \
                    }                                                                                                  \
                }                                                                                                      \
                for (; k + 16 <= r->columns; k += 16) {                                                                \
                    s[0] = FMA(vector(w + bytes * k), LOAD(f32x16, x + k), s[0]);                                      \
                }                                                                                                      \
                float sum = sum16((s[0] + s[1]) + (s[2] + s[3]));                                                      \
                for (; k < r->columns; k++) {                                                                          \
                    sum = __builtin_fmaf(scalar(w + bytes * k), x[k], sum);                                            \
                }                                                                                                      \
                out[m * r->outputs + row] = sum;                                                                       \
            }                                                                                                          \
        }                                                                                                              \
    }

INLINE f32x16 halves(const u8 *at) { return CONVERT(f32x16, LOAD(f16x16, at)); }
INLINE f32x16 brains(const u8 *at) { return (f32x16)(CONVERT(u32x16, LOAD(u16x16, at)) << 16); }
INLINE float brain(const u8 *at) {
    u32 bits = (u32)LOAD(u16, at) << 16;
    return LOAD(float, &bits);
}
INLINE f32x16 singles(const u8 *at) { return LOAD(f32x16, at); }
INLINE float single(const u8 *at) { return LOAD(float, at); }

PLAIN_ROWS(F16, 2, halves, half)
PLAIN_ROWS(BF16, 2, brains, brain)
PLAIN_ROWS(F32, 4, singles, single)
