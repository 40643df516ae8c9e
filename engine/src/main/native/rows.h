/* The products of some rows of a GGUF matrix with some rows of activations. */
#include "blocks.h"
#include "matrix.h"

/* How far ahead of its loads a row is fetched, in bytes. */
#define AHEAD 4096

#define ROWS(type, elements, bytes, values, is_signed, twos)                                                           \
    INLINE void row_##type(const u8 *b, i64 columns, const float *x, i64 stride, int rows, float *out, i64 outputs) {  \
        const table t = tabled(values, is_signed);                                                                     \
        activations a = prepared(x, columns, stride, rows);                                                            \
        take_twos(&a, twos);                                                                                           \
        sums s = {};                                                                                                   \
        i64 k = 0;                                                                                                     \
        for (; k + 256 <= columns; k += 256, b += 256 / elements * bytes) {                                            \
            for (int line = 0; line < 256 / elements * bytes; line += 64) {                                            \
                FETCH(b + AHEAD + line);                                                                               \
            }                                                                                                          \
            block_##type(&s, &a, k, b, &t, 256 / elements);                                                            \
        }                                                                                                              \
        if (k < columns) {                                                                                             \
            block_##type(&s, &a, k, b, &t, (columns - k) / elements);                                                  \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int i = 0; i < rows; i++) {                                                                               \
            out[i * outputs] = total(s.of + i);                                                                        \
        }                                                                                                              \
    }                                                                                                                  \
    static void rows_##type(const range *r, const float *x, float *out) {                                              \
        for (i64 row = r->first; row < r->end; row++) {                                                                \
            const u8 *b = r->weights + stored_row(row, r->head) * (r->columns / elements * bytes);                     \
            i64 i = 0;                                                                                                 \
            for (; i + TOGETHER <= r->rows; i += TOGETHER) {                                                           \
                row_##type(b, r->columns, x + i * r->stride, r->stride, TOGETHER, out + i * r->outputs + row,          \
                        r->outputs);                                                                                   \
            }                                                                                                          \
            for (; i < r->rows; i++) {                                                                                 \
                row_##type(b, r->columns, x + i * r->stride, r->stride, 1, out + i * r->outputs + row, r->outputs);    \
            }                                                                                                          \
        }                                                                                                              \
    }

ROWS(Q4_0, 32, 18, PLAIN, 0, 1)
ROWS(Q4_1, 32, 20, PLAIN, 0, 1)
ROWS(Q5_0, 32, 22, PLAIN, 0, 0)
ROWS(Q5_1, 32, 24, PLAIN, 0, 0)
ROWS(Q8_0, 32, 34, PLAIN, 0, 0)
ROWS(IQ4_NL, 32, 18, IQ4, 1, 1)
ROWS(MXFP4, 32, 17, E2M1, 1, 1)
ROWS(IQ4_XS, 256, 136, IQ4, 1, 1)
ROWS(Q2_K, 256, 84, PLAIN, 0, 0)
ROWS(Q3_K, 256, 110, PLAIN, 0, 0)
ROWS(Q4_K, 256, 144, PLAIN, 0, 0)
ROWS(Q5_K, 256, 176, PLAIN, 0, 0)
ROWS(Q6_K, 256, 210, PLAIN, 0, 0)
