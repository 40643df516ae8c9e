/* The products of some rows of a GGUF matrix with one row of activations. */
#include "blocks.h"

/* Where the row of Hugging Face's order stands whose file interleaves the rows of heads. */
INLINE i64 stored_row(i64 row, i64 head) {
    i64 within = head ? row % head : 0;
    return head ? row - within + 2 * (within % (head / 2)) + within / (head / 2) : row;
}

/* How far ahead of its loads a row is fetched, in bytes. */
#define AHEAD 4096

#define ROWS(type, elements, bytes, values)                                                                            \
    static void rows_##type(                                                                                           \
            const u8 *weights, i64 head, i64 first, i64 end, i64 columns, const float *x, float *out) {                \
        const table t = tabled(values);                                                                                \
        activations a = prepared(x, columns);                                                                          \
        for (i64 row = first; row < end; row++) {                                                                      \
            const u8 *b = weights + stored_row(row, head) * (columns / elements * bytes);                              \
            sums s = {};                                                                                               \
            for (i64 k = 0; k < columns; k += elements, b += bytes) {                                                  \
                for (int line = 0; line < bytes; line += 64) {                                                         \
                    FETCH(b + AHEAD + line);                                                             \
                }                                                                                                      \
                block_##type(&s, &a, k, b, &t);                                                                        \
            }                                                                                                          \
            out[row] = total(&s);                                                                                      \
        }                                                                                                              \
    }

ROWS(Q4_0, 32, 18, LESS_8)
ROWS(Q4_1, 32, 20, PLAIN)
ROWS(Q5_0, 32, 22, PLAIN)
ROWS(Q5_1, 32, 24, PLAIN)
ROWS(Q8_0, 32, 34, PLAIN)
ROWS(IQ4_NL, 32, 18, IQ4)
ROWS(IQ4_XS, 256, 136, IQ4)
ROWS(Q2_K, 256, 84, PLAIN)
ROWS(Q3_K, 256, 110, PLAIN)
ROWS(Q4_K, 256, 144, PLAIN)
ROWS(Q5_K, 256, 176, PLAIN)
ROWS(Q6_K, 256, 210, PLAIN)
