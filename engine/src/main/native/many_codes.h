/*
 * Codes that lie by columns for several rows of activations in bytes: codes of a step are brought into order once, in
 * the first-level cache, and then multiplied by each row as codes.h does it for one.
 */

/* Rows at a time, and floats of their sums of a tile's groups: 32 KiB. */
#define MOST_MANY 64
#define MANY_SUMS 8192

/* Rows whose sums stay in registers. */
#define MANY_TOGETHER (LANES == 16 ? 8 : 4)

/* To the sum of some words of each of some rows, the products of 32 inputs, of which `codes` has four in each word. */
INLINE void multiply_many(
        const words *codes, i64 apart, const activations *x, i64 k, int rows, int begin, float *sums, i64 sums_apart) {
    signed_words s[MANY_TOGETHER] = {};
    UNROLL
    for (int i = 0; i < 8; i++) {
        words v = codes[i * apart];
        UNROLL
        for (int r = 0; r < rows; r++) {
            s[r] = word_dot(s[r], v, OF_ROW(r, x->values + k + 4 * i));
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        float *sum = sums + r * sums_apart;
        floats before = begin ? (floats){} : LOAD(floats, sum);
        STORE(sum, FMA(CONVERT(floats, s[r]), (floats){} + OF_ROW(r, x->scales + k / 32)[0], before));
    }
}

INLINE void multiply_all(const words *codes, i64 apart, const float *x, const range *r, i64 k, int begin, float *sums,
        i64 sums_apart) {
    i64 row = 0;
    for (; row + MANY_TOGETHER <= r->rows; row += MANY_TOGETHER) {
        activations a = prepared(x + row * r->stride, r->columns, r->stride, MANY_TOGETHER);
        multiply_many(codes, apart, &a, k, MANY_TOGETHER, begin, sums + row * sums_apart, sums_apart);
    }
    for (; row < r->rows; row++) {
        activations a = prepared(x + row * r->stride, r->columns, r->stride, 1);
        multiply_many(codes, apart, &a, k, 1, begin, sums + row * sums_apart, sums_apart);
    }
}

/* The same of 32 inputs for AWQ's words: [8 times 4 inputs][output of a word]. */
INLINE void unpack_awq(const u8 *at, i64 row, i64 count, words to[64]) {
    for (int i = 0; i < 8; i++) {
        words w[4];
        for (int j = 0; j < 4; j++, at += row) {
            w[j] = load_words(at, count);
            FETCH(at + AWQ_AHEAD * row);
        }
        by_byte(w);
        for (int j = 0; j < 4; j++) {
            to[8 * i + 2 * j] = w[j] & LOW_NIBBLES;
            to[8 * i + 2 * j + 1] = w[j] >> 4 & LOW_NIBBLES;
        }
    }
}

/* As codes_AWQ, up to MOST_MANY rows. */
static void many_AWQ(const matrix *m, const range *r, const float *x, float *out) {
    const i64 row_bytes = m->outputs / 2, tile = MANY_SUMS / (8 * r->rows) / LANES * LANES;
    float sums[MANY_SUMS];
    for (i64 i = 0; i < r->rows; i++) {
        for (i64 n = r->first; n < r->end; n++) {
            out[i * r->outputs + n] = 0;
        }
    }
    for (i64 first = r->first / 8, end; first < r->end / 8; first = end) {
        end = first + tile < r->end / 8 ? first + tile : r->end / 8;
        for (i64 g = 0; g < m->groups; g++) {
            for (i64 k = g * m->size; k < (g + 1) * m->size; k += 32) {
                for (i64 c = first; c < end; c += LANES) {
                    words codes[64];
                    unpack_awq(m->codes + k * row_bytes + 4 * c, row_bytes, end - c, codes);
                    float *kept = sums + (c - first) * 8 * r->rows;
                    for (int n = 0; n < 8; n++) {
                        multiply_all(codes + n, 8, x, r, k, k == g * m->size, kept + n * LANES, 8 * LANES);
                    }
                }
            }
            for (i64 i = 0; i < r->rows; i++) {
                activations a = prepared_codes(x + i * r->stride, r->columns);
                float sum_x = sum_of_group(&a, g * m->size, m->size);
                for (i64 c = first; c < end; c += LANES) {
                    const float *kept = sums + (c - first) * 8 * r->rows + i * 8 * LANES;
                    finish_awq(m, g, c, end - c < LANES ? end - c : LANES, sum_x, kept, out + i * r->outputs);
                }
            }
        }
    }
}

/* Of 32 inputs for GPTQ's words, in the order of activations IN_PAIRS. */
INLINE void unpack_gptq(const u8 *at, i64 row, i64 count, words to[8]) {
    for (int i = 0; i < 4; i++, at += row) {
        words w = load_words(at, count);
        FETCH(at + GPTQ_AHEAD * row);
        to[i] = w & LOW_NIBBLES;
        to[4 + i] = w >> 4 & LOW_NIBBLES;
    }
}

/* As codes_GPTQ, up to MOST_MANY rows. */
static void many_GPTQ(const matrix *m, const range *r, const float *x, float *out) {
    const i64 row_bytes = 4 * m->outputs, tile = MANY_SUMS / r->rows / LANES * LANES;
    float sums[MANY_SUMS];
    for (i64 i = 0; i < r->rows; i++) {
        for (i64 n = r->first; n < r->end; n++) {
            out[i * r->outputs + n] = 0;
        }
    }
    for (i64 first = r->first, end; first < r->end; first = end) {
        end = first + tile < r->end ? first + tile : r->end;
        for (i64 g = 0; g < m->groups; g++) {
            for (i64 k = g * m->size; k < (g + 1) * m->size; k += 32) {
                for (i64 n = first; n < end; n += LANES) {
                    words codes[8];
                    unpack_gptq(m->codes + k / 8 * row_bytes + 4 * n, row_bytes, end - n, codes);
                    float *kept = sums + (n - first) * r->rows;
                    multiply_all(codes, 1, x, r, k, k == g * m->size, kept, LANES);
                }
            }
            for (i64 i = 0; i < r->rows; i++) {
                activations a = prepared_codes(x + i * r->stride, r->columns);
                float sum_x = sum_of_group(&a, g * m->size, m->size);
                for (i64 n = first; n < end; n += LANES) {
                    const float *kept = sums + (n - first) * r->rows + i * LANES;
                    finish_gptq(m, g, n, end - n < LANES ? end - n : LANES, sum_x, kept, out + i * r->outputs);
                }
            }
        }
    }
}
