/*
 * The products of 4-bit codes with scales and zeros of their own:
 *
 *   out[n] = sum over groups of scale * (sum of x * code - zero * sum of x)
 *
 * (code - zero) * scale is not rounded to fp16; each weight differs from that of loaders by at most 2^-11 of itself.
 */
#include "vectors.h"

/* A matrix of codes; the layouts are those that AwqLayout and StoredCodes state. */
typedef struct {
    const u8 *codes;
    const u8 *zeros; /* none: all are 8 */
    const u8 *scales;
    i64 outputs;
    i64 groups;
    i64 size;     /* inputs of a group */
    u32 less_one; /* what is added to a word of zeros */
} matrix;

#if defined(__AVX512F__)
#define LANES 16
typedef u32x16 words;
typedef i32x16 signed_words;
typedef f32x16 floats;
#else
#define LANES 8
typedef VECTOR(u32, 32) words;
typedef i32x8 signed_words;
typedef f32x8 floats;
#endif

/* How many rows of words ahead a strip is fetched. */
#define ROWS_AHEAD 24

INLINE words load_words(const u8 *at, i64 count) {
    words w = {};
    if (__builtin_expect(count >= LANES, 1)) {
        return LOAD(words, at);
    }
    for (i64 i = 0; i < count; i++) {
        w[i] = LOAD(u32, at + 4 * i);
    }
    return w;
}

INLINE float sum_of(const float *x, i64 count) {
    f32x8 s = {};
    i64 i = 0;
    for (; i + 8 <= count; i += 8) {
        s += LOAD(f32x8, x + i);
    }
    float sum = sum8(s);
    for (; i < count; i++) {
        sum += x[i];
    }
    return sum;
}

/* Nibble i of each word, where it stands: times 16^i, or 16^6 for the last. */
INLINE floats nibble_of(words w, int i) {
    return CONVERT(floats, (signed_words)(i < 7 ? w & 15u << 4 * i : w >> 4 & 15u << 24));
}

static const float POWERS[8] = {1, 0x1p-4, 0x1p-8, 0x1p-12, 0x1p-16, 0x1p-20, 0x1p-24, 0x1p-24};

/* GPTQ: word [r, n] holds inputs 8r to 8r + 7 of output n, so lanes are outputs. */
static void codes_GPTQ(const matrix *m, i64 first, i64 end, const float *x, float *out) {
    i64 row = 4 * m->outputs;
    for (i64 n = first; n < end; n += LANES) {
        i64 count = end - n < LANES ? end - n : LANES;
        floats sum = {};
        for (i64 g = 0; g < m->groups; g++) {
            const float *xs = x + g * m->size;
            const u8 *at = m->codes + g * (m->size / 8) * row + 4 * n;
            floats s[8] = {};
            for (i64 r = 0; r < m->size / 8; r++, at += row) {
                FETCH(at + ROWS_AHEAD * row);
                words w = load_words(at, count);
                for (int i = 0; i < 8; i++) {
                    s[i] = FMA(nibble_of(w, i), (floats){} + xs[8 * r + i], s[i]);
                }
            }
            floats t = {};
            for (int i = 7; i >= 0; i--) {
                t = FMA(s[i], (floats){} + POWERS[i], t);
            }
            float sum_x = sum_of(xs, m->size);
            for (i64 l = 0; l < count; l++) {
                u32 zero = 8;
                if (m->zeros) {
                    u32 word = LOAD(u32, m->zeros + g * (m->outputs / 8) * 4 + (n + l) / 8 * 4) + m->less_one;
                    zero = word >> 4 * ((n + l) % 8) & 15;
                }
                float scale = half(m->scales + 2 * (g * m->outputs + n + l));
                sum[l] = __builtin_fmaf(scale, __builtin_fmaf(-(float)zero, sum_x, t[l]), sum[l]);
            }
        }
        for (i64 l = 0; l < count; l++) {
            out[n + l] = sum[l];
        }
    }
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

/* AWQ: word [k, c] holds outputs 8c to 8c + 7 of input k, so lanes are words. First and end count words. */
static void codes_AWQ(const matrix *m, i64 first, i64 end, const float *x, float *out) {
    i64 row = m->outputs / 2;
    for (i64 n = 8 * first; n < 8 * end; n++) {
        out[n] = 0;
    }
    for (i64 g = 0; g < m->groups; g++) {
        const float *xs = x + g * m->size;
        float sum_x = sum_of(xs, m->size);
        for (i64 c = first; c < end; c += LANES) {
            i64 count = end - c < LANES ? end - c : LANES;
            const u8 *at = m->codes + g * m->size * row + 4 * c;
            floats s[8] = {};
            for (i64 k = 0; k < m->size; k++, at += row) {
                FETCH(at + ROWS_AHEAD * row);
                words w = load_words(at, count);
                for (int i = 0; i < 8; i++) {
                    s[i] = FMA(nibble_of(w, i), (floats){} + xs[k], s[i]);
                }
            }
            words zeros = load_words(m->zeros + g * row + 4 * c, count);
            floats v[8];
            for (int o = 0; o < 8; o++) {
                int i = awq_nibble(o);
                floats zero = nibble_of(zeros, i) * POWERS[i];
                v[o] = FMA(zero, (floats){} - sum_x, s[i] * POWERS[i]);
            }
            in_order(v);
            const u8 *scales = m->scales + 2 * (g * m->outputs + 8 * c);
            if (__builtin_expect(count == LANES, 1)) {
                typedef VECTOR(f16, 2 * LANES) scale_vector;
                for (int i = 0; i < 8; i++) {
                    floats scale = CONVERT(floats, LOAD(scale_vector, scales + 2 * LANES * i));
                    float *to = out + 8 * c + LANES * i;
                    STORE(to, FMA(v[i], scale, LOAD(floats, to)));
                }
            } else {
                float *values = (float *)v;
                for (i64 i = 0; i < 8 * count; i++) {
                    out[8 * c + i] = __builtin_fmaf(values[i], half(scales + 2 * i), out[8 * c + i]);
                }
            }
        }
    }
}
