/*
 * Codes that lie by columns for several rows of activations in bytes: the codes of a group are brought into order once,
 * in the first-level cache, and then multiplied by each row as codes.h does it for one.
 */

/* Rows whose sums stay in registers, and inputs whose codes are in order at a time. */
#define MANY_TOGETHER (LANES == 16 ? 8 : 4)
#define MANY_INPUTS 128

/* Vectors of words of a tile: 32 KiB of codes, PART_ROOM outputs. For AWQ each makes eight of outputs. */
#define TILE_VECTORS(awq) ((awq) ? 2 : 16)

/*
 * To the sums of the words of some rows, the products of a group's inputs, or of some after those before.
 *
 *   codes  four inputs' to each word, `step` vectors to the next four
 *   sums   of each row, a vector
 */
INLINE void multiply_many(const words *codes, i64 step, const activations *x, i64 k, i64 end, int rows, floats *sums) {
    floats all[MANY_TOGETHER];
    UNROLL
    for (int r = 0; r < rows; r++) {
        all[r] = sums[r];
    }
    for (; k < end; k += 32) {
        some_sums s[MANY_TOGETHER] = {};
        UNROLL
        for (int i = 0; i < 8; i++, codes += step) {
            words v = *codes;
            UNROLL
            for (int r = 0; r < rows; r++) {
                s[r] = some_dot(s[r], v, OF_ROW(r, x->values + k + 4 * i));
            }
        }
        UNROLL
        for (int r = 0; r < rows; r++) {
            all[r] = FMA(some_total(s[r]), (floats){} + OF_ROW(r, x->scales + k / 32)[0], all[r]);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        sums[r] = all[r];
    }
}

/* Codes of 32 inputs of AWQ's words: [8 times 4 inputs][output of a word]. */
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

/* The same of GPTQ's words, in the order of activations IN_PAIRS: [8 times 4 inputs]. */
INLINE void unpack_gptq(const u8 *at, i64 row, i64 count, words to[8]) {
    for (int i = 0; i < 4; i++, at += row) {
        words w = load_words(at, count);
        FETCH(at + GPTQ_AHEAD * row);
        to[i] = w & LOW_NIBBLES;
        to[4 + i] = w >> 4 & LOW_NIBBLES;
    }
}

/* Words `first` to end - 1 of a group g, whose inputs from k on the codes are, for some rows. */
INLINE void many_rows(int awq, const matrix *m, const range *r, i64 g, i64 k, i64 some, i64 first, i64 end,
        const words *codes, floats *sums, const float *x, int rows, float *out, i64 stride) {
    const int per = awq ? 8 : 1;
    activations a = prepared(x, r->columns, r->stride, rows);
    for (i64 c = first, v = 0; c < end; c += LANES, v++) {
        floats *of = sums + v * per * MANY_TOGETHER;
        for (int n = 0; n < per; n++, of += MANY_TOGETHER) {
            for (int i = 0; i < rows && k == g * m->size; i++) {
                of[i] = (floats){};
            }
            multiply_many(codes + v * per * MANY_INPUTS / 4 + n, per, &a, k, k + some, rows, of);
        }
    }
    for (int i = 0; i < rows && k + some == (g + 1) * m->size; i++) {
        activations one = prepared_codes(x + i * r->stride, r->columns);
        float sum_x = sum_of_group(&one, g * m->size, m->size);
        for (i64 c = first, v = 0; c < end; c += LANES, v++) {
            float group[8 * LANES];
            for (int n = 0; n < per; n++) {
                STORE(group + n * LANES, sums[(v * per + n) * MANY_TOGETHER + i]);
            }
            i64 count = end - c < LANES ? end - c : LANES;
            if (awq) {
                finish_awq(m, g, c, count, sum_x, group, out + i * stride);
            } else {
                finish_gptq(4, m, g, c, count, sum_x, group, out + i * stride);
            }
        }
    }
}

/* Adds what a part has summed up to the outputs, and begins the next with zeros. */
INLINE void add_part(const range *r, i64 first, i64 end, float *out) {
    for (i64 i = 0; i < r->rows; i++) {
        float *part = r->room + i * PART_ROOM;
        for (i64 n = first; n < end; n++) {
            out[i * r->outputs + n] += part[n - first];
            part[n - first] = 0;
        }
    }
}

/* One tile of words by all rows. A group of more inputs than are in order at a time is done for few rows at a time. */
INLINE void many_tile(int awq, const matrix *m, const range *r, i64 first, i64 end, const float *x, float *out) {
    words codes[TILE_VECTORS(1) * 8 * MANY_INPUTS / 4];
    floats sums[TILE_VECTORS(1) * 8 * MANY_TOGETHER];
    const i64 row_bytes = awq ? m->outputs / 2 : 4 * m->outputs, span = m->size <= MANY_INPUTS ? r->rows : 1;
    const int per = awq ? 8 : 1;
    const int parts = r->part < m->groups;
    float *to_row = parts ? r->room - per * first : out;
    const i64 stride = parts ? PART_ROOM : r->outputs;
    for (i64 i = 0; parts && i < r->rows * PART_ROOM; i++) {
        r->room[i] = 0;
    }
    for (i64 g = 0; g < m->groups; g++) {
        for (i64 from = 0, to; from < r->rows; from = to) {
            to = span == 1 ? (r->rows - from < MANY_TOGETHER ? from + 1 : from + MANY_TOGETHER) : r->rows;
            for (i64 k = g * m->size, some; k < (g + 1) * m->size; k += some) {
                some = (g + 1) * m->size - k < MANY_INPUTS ? (g + 1) * m->size - k : MANY_INPUTS;
                for (i64 c = first, v = 0; c < end; c += LANES, v++) {
                    for (i64 i = 0; i < some; i += 32) {
                        words *at = codes + (v * MANY_INPUTS + i) / 4 * per;
                        if (awq) {
                            unpack_awq(m->codes + (k + i) * row_bytes + 4 * c, row_bytes, end - c, at);
                        } else {
                            unpack_gptq(m->codes + (k + i) / 8 * row_bytes + 4 * c, row_bytes, end - c, at);
                        }
                    }
                }
                i64 row = from;
#define SOME_ROWS(count)                                                                                               \
    for (; row + count <= to; row += count) {                                                                          \
        many_rows(awq, m, r, g, k, some, first, end, codes, sums, x + row * r->stride, count, to_row + row * stride,  \
                stride);                                                                                               \
    }
                SOME_ROWS(MANY_TOGETHER)
                SOME_ROWS(2)
                SOME_ROWS(1)
            }
        }
        if (parts && ((g + 1) % r->part == 0 || g + 1 == m->groups)) {
            add_part(r, per * first, per * end, out);
        }
    }
}

/* As codes_AWQ and codes_GPTQ, for any number of rows. */
INLINE void many_codes(int awq, const matrix *m, const range *r, const float *x, float *out) {
    const i64 part = awq ? 8 : 1, tile = TILE_VECTORS(awq) * LANES;
    for (i64 i = 0; i < r->rows; i++) {
        for (i64 n = r->first; n < r->end; n++) {
            out[i * r->outputs + n] = 0;
        }
    }
    for (i64 first = r->first / part, last = r->end / part; first < last; first += tile) {
        many_tile(awq, m, r, first, first + tile < last ? first + tile : last, x, out);
    }
}
static void many_AWQ(const matrix *m, const range *r, const float *x, float *out) { many_codes(1, m, r, x, out); }
static void many_GPTQ(const matrix *m, const range *r, const float *x, float *out) { many_codes(0, m, r, x, out); }
