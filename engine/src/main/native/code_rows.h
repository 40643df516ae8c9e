/*
 * compressed-tensors: the low nibble of byte j of a row is the code of column 2j, or byte j that of column j. Groups
 * are whole 32 columns. For nibbles, activations are prepared with the even ones of each 32 before the odd ones.
 */
#include "matrix.h"

INLINE void next_group(const matrix *m, i64 columns, i64 *g, i64 *left) {
    *left -= columns;
    *g += *left == 0;
    *left = *left ? *left : m->size;
}

/* Scales of up to eight blocks of 32 columns, and their zeros times these; g and left say where in a group they are. */
INLINE f32x8 code_scales(int bits, const matrix *m, i64 row, i64 count, i64 *g, i64 *left, f32x8 *minima) {
    if (m->size % 128 == 0 && count == 8) {
        /* At most two groups. */
        float low, high, scale = code_scale(bits, m, row, *g, &low);
        next_group(m, 128, g, left);
        float second = code_scale(bits, m, row, *g, &high);
        next_group(m, 128, g, left);
        *minima = (f32x8){low, low, low, low, high, high, high, high};
        return (f32x8){scale, scale, scale, scale, second, second, second, second};
    }
    float scales[8] = {}, least[8] = {};
    for (i64 i = 0; i < count; i++) {
        scales[i] = code_scale(bits, m, row, *g, least + i);
        next_group(m, 32, g, left);
    }
    *minima = LOAD(f32x8, least);
    return LOAD(f32x8, scales);
}

/* Up to 256 columns from k on. */
INLINE void code_blocks(sums *s, const activations *a, i64 k, const u8 *b, const table *t, i64 count, f32x8 scales,
        f32x8 minima) {
    FETCH(b + AHEAD);
    FETCH(b + AHEAD + 64);
    subtract_minima32(s, a, k, minima);
    nibble_blocks(s, a, k, b, t, count, 16, 0, scales);
}

INLINE void code_row(const matrix *m, i64 row, const float *x, i64 stride, int rows, float *out, i64 outputs) {
    const table t = tabled(PLAIN, 0);
    i64 columns = m->groups * m->size, k = 0, g = 0, left = m->size;
    activations a = prepared(x, columns, stride, rows);
    take_twos(&a, 1);
    const u8 *w = m->codes + row * (columns / 2);
    sums s = {};
    f32x8 minima, scales;
    for (; k + 256 <= columns; k += 256) {
        scales = code_scales(4, m, row, 8, &g, &left, &minima);
        code_blocks(&s, &a, k, w + k / 2, &t, 8, scales, minima);
    }
    if (k < columns) {
        i64 count = (columns - k) / 32;
        scales = code_scales(4, m, row, count, &g, &left, &minima);
        code_blocks(&s, &a, k, w + k / 2, &t, count, scales, minima);
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        out[i * outputs] = total(s.of + i);
    }
}

/* Up to 256 columns from k on of 8-bit codes. These are taken less 128, as their zeros are: bytes with signs. */
INLINE void byte_blocks(sums *s, const activations *a, i64 k, const u8 *b, i64 count, f32x8 scales) {
    float factors[8 * TOGETHER];
    factors32(a, k, scales, factors);
    for (i64 i = 0; i < count; i++) {
        u8x32 q = LOAD(u8x32, b + 32 * i) ^ 128;
        add_signed(s, a, k + 32 * i, (i8x32)q, factors + i, i & 1);
    }
}

INLINE void byte_row(const matrix *m, i64 row, const float *x, i64 stride, int rows, float *out, i64 outputs) {
    i64 columns = m->groups * m->size, g = 0, left = m->size;
    activations a = prepared(x, columns, stride, rows);
    const u8 *w = m->codes + row * columns;
    sums s = {};
    for (i64 k = 0; k < columns; k += 256) {
        i64 count = columns - k < 256 ? (columns - k) / 32 : 8;
        f32x8 minima, scales = code_scales(8, m, row, count, &g, &left, &minima);
        for (int line = 0; line < 256; line += 64) {
            FETCH(w + k + AHEAD + line);
        }
        if (m->zeros) {
            subtract_minima32(&s, &a, k, minima);
        }
        if (count == 8) {
            byte_blocks(&s, &a, k, w + k, 8, scales);
        } else {
            byte_blocks(&s, &a, k, w + k, count, scales);
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        out[i * outputs] = total(s.of + i);
    }
}

#if WIDE
#define CODE_ROW wide_code_row
#else
#define CODE_ROW code_row
#endif

#define CODE_ROWS(of_row, count)                                                                                       \
    for (; i + count <= r->rows; i += count) {                                                                         \
        of_row(m, row, x + i * r->stride, r->stride, count, out + i * r->outputs + row, r->outputs);                   \
    }

static void codes_by_rows(const matrix *m, const range *r, const float *x, float *out) {
    for (i64 row = r->first; row < r->end; row++) {
        i64 i = 0;
        if (m->bits == 8) {
            CODE_ROWS(byte_row, TOGETHER)
            CODE_ROWS(byte_row, 1)
        } else {
            CODE_ROWS(CODE_ROW, TOGETHER)
            CODE_ROWS(CODE_ROW, 1)
        }
    }
}
