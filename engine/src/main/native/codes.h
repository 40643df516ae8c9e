/*
 * The products of codes that lie by columns:
 *
 *   out[n] = sum over groups of scale * (sum of x * code - zero * sum of x)
 *
 * Groups are summed in parts, each on its own from zero, and then the parts. So threads can share a row's groups, and
 * each reads memory that follows one another.
 *
 * (code - zero) * scale is not rounded to fp16; each weight differs from that of loaders by at most 2^-11 of itself.
 *
 *   a tile: up to TILE words of every row of words, whose sums over a group stay in the first-level cache
 *   a step: up to 32 inputs of LANES of these words, whose sums stay in registers; add_awq and add_gptq make it
 */

#define TILE 1024

INLINE floats load_floats(const float *at, i64 count) {
    return (floats)load_words((const u8 *)at, count);
}
INLINE void store_floats(float *at, floats v, i64 count) {
    if (__builtin_expect(count >= LANES, 1)) {
        STORE(at, v);
        return;
    }
    for (i64 i = 0; i < count; i++) {
        at[i] = v[i];
    }
}
INLINE floats load_halves(const u8 *at, i64 count) {
    typedef VECTOR(f16, 2 * LANES) halves_vector;
    if (__builtin_expect(count >= LANES, 1)) {
        return CONVERT(floats, LOAD(halves_vector, at));
    }
    floats v = {};
    for (i64 i = 0; i < count; i++) {
        v[i] = half(at + 2 * i);
    }
    return v;
}

/* a0 b0 a1 b1 ... */
INLINE void zip(floats a, floats b, floats *first, floats *second) {
#if LANES == 16
    *first = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *second = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#else
    *first = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    *second = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#endif
}

/* From a vector for each of the eight outputs of a word to the outputs in order. */
INLINE void in_order(floats v[8]) {
    for (int step = 0; step < 3; step++) {
        floats z[8];
        for (int i = 0; i < 4; i++) {
            zip(v[i], v[i + 4], z + 2 * i, z + 2 * i + 1);
        }
        for (int i = 0; i < 8; i++) {
            v[i] = z[i];
        }
    }
}

/* Where in a word, in bits, the code of output o of its eight stands. */
INLINE int awq_nibble(int o) { return o % 2 == 0 ? o / 2 : o / 2 + 4; }

/* AWQ: word [k, c] holds outputs 8c to 8c + 7 of input k, so lanes are words. A group's end for LANES words. */
INLINE void finish_awq(const matrix *m, i64 g, i64 c, i64 count, float sum_x, const float *group, float *out) {
    words zeros = load_words(m->zeros + (g * m->outputs / 8 + c) * 4, count);
    floats v[8];
    for (int o = 0; o < 8; o++) {
        int i = awq_nibble(o);
        floats zero = CONVERT(floats, (signed_words)(zeros >> 4 * i & 15));
        v[o] = FMA(zero, (floats){} - sum_x, LOAD(floats, group + i * LANES));
    }
    in_order(v);
    const u8 *scales = m->scales + 2 * (g * m->outputs + 8 * c);
    for (int i = 0; i < 8 && i * LANES < 8 * count; i++) {
        i64 now = 8 * count - i * LANES < LANES ? 8 * count - i * LANES : LANES;
        float *to = out + 8 * c + i * LANES;
        store_floats(to, FMA(v[i], load_halves(scales + 2 * i * LANES, now), load_floats(to, now)), now);
    }
}

#if AWQ_BY_PAIRS
#include "awq_pairs.h"
#else
/* One row and one part. First and end count outputs, eight to a word. */
static void codes_AWQ(const matrix *m, const range *r, const float *prepared_x, float *out) {
    activations x = prepared_codes(prepared_x, r->columns);
    i64 row = m->outputs / 2;
    for (i64 n = r->first; n < r->end; n++) {
        out[n] = 0;
    }
    for (i64 first = r->first / 8; first < r->end / 8; first += TILE) {
        i64 end = first + TILE < r->end / 8 ? first + TILE : r->end / 8;
        for (i64 g = r->first_group; g < r->end_group; g++) {
            float group[TILE / LANES][8 * LANES];
            for (i64 k = g * m->size, depth; k < (g + 1) * m->size; k += depth) {
                depth = (g + 1) * m->size - k < 32 ? (g + 1) * m->size - k : 32;
                for (i64 c = first; c < end; c += LANES) {
                    floats s[8];
                    float *kept = group[(c - first) / LANES];
                    for (int i = 0; i < 8; i++) {
                        s[i] = k > g * m->size ? LOAD(floats, kept + i * LANES) : (floats){};
                    }
                    const u8 *at = m->codes + k * row + 4 * c;
                    add_awq(s, &x, k, depth, at, row, end - c);
                    for (int i = 0; i < 8; i++) {
                        STORE(kept + i * LANES, s[i]);
                    }
                }
            }
            float sum_x = sum_of_group(&x, g * m->size, m->size);
            for (i64 c = first; c < end; c += LANES) {
                finish_awq(m, g, c, end - c < LANES ? end - c : LANES, sum_x, group[(c - first) / LANES], out);
            }
        }
    }
}

#endif

/*
 * GPTQ: word [r, n] holds the inputs of output n from 8r on, or from 4r on of 8 bits, so lanes are outputs. A group's
 * end for LANES outputs.
 */
INLINE void finish_gptq(
        int bits, const matrix *m, i64 g, i64 n, i64 count, float sum_x, const float *group, float *out) {
    const int per = 32 / bits;
    signed_words zeros = (signed_words){} + (1 << (bits - 1));
    if (m->zeros) {
        const u8 *at = m->zeros + (g * m->outputs + n) / per * 4;
        words w = {}, shift = {};
        for (int l = 0; l < LANES; l++) {
            shift[l] = bits * (l % per);
        }
        for (int i = 0; i < LANES / per && per * i < count; i++) {
            for (int l = 0; l < per; l++) {
                w[per * i + l] = LOAD(u32, at + 4 * i) + m->less_one;
            }
        }
        zeros = (signed_words)(w >> shift & ((1u << bits) - 1));
    }
    floats zero = CONVERT(floats, bits == 8 ? zeros - BYTE_MIDDLE : zeros);
    floats v = FMA(zero, (floats){} - sum_x, LOAD(floats, group));
    floats scale = load_halves(m->scales + 2 * (g * m->outputs + n), count);
    store_floats(out + n, FMA(v, scale, load_floats(out + n, count)), count);
}

/* One group of up to TILE outputs for one row. */
INLINE void group_gptq(int bits, const matrix *m, i64 g, i64 first, i64 end, const activations *x, float *out) {
    const i64 row = 4 * m->outputs, per = 32 / bits;
    float group[TILE];
    for (i64 k = g * m->size, depth; k < (g + 1) * m->size; k += depth) {
        depth = (g + 1) * m->size - k < 32 ? (g + 1) * m->size - k : 32;
        for (i64 n = first; n < end; n += LANES) {
            float *kept = group + (n - first);
            const u8 *at = m->codes + k / per * row + 4 * n;
            floats s = k > g * m->size ? LOAD(floats, kept) : (floats){};
            STORE(kept, bits == 8 ? add_gptq_bytes(s, x, k, depth, at, row, end - n)
                                  : add_gptq(s, x, k, depth, at, row, end - n));
        }
    }
    float sum_x = sum_of_group(x, g * m->size, m->size);
    for (i64 n = first; n < end; n += LANES) {
        finish_gptq(bits, m, g, n, end - n < LANES ? end - n : LANES, sum_x, group + (n - first), out);
    }
}

/* A part's words of a tile stay in the second-level cache while the rows go by. */
INLINE void codes_gptq(int bits, const matrix *m, const range *r, const float *prepared_x, float *out) {
    for (i64 i = 0; i < r->rows; i++) {
        for (i64 n = r->first; n < r->end; n++) {
            out[i * r->outputs + n] = 0;
        }
    }
    for (i64 first = r->first; first < r->end; first += TILE) {
        i64 end = first + TILE < r->end ? first + TILE : r->end;
        for (i64 part = r->first_group; part < r->end_group; part += r->part) {
            i64 last = part + r->part < r->end_group ? part + r->part : r->end_group;
            for (i64 i = 0; i < r->rows; i++) {
                activations x = prepared_codes(prepared_x + i * r->stride, r->columns);
                float sums[TILE] = {};
                for (i64 g = part; g < last; g++) {
                    group_gptq(bits, m, g, first, end, &x, sums - first);
                }
                for (i64 n = first; n < end; n++) {
                    out[i * r->outputs + n] += sums[n - first];
                }
            }
        }
    }
}
static void codes_GPTQ(const matrix *m, const range *r, const float *x, float *out) { codes_gptq(4, m, r, x, out); }
static void bytes_GPTQ(const matrix *m, const range *r, const float *x, float *out) { codes_gptq(8, m, r, x, out); }
