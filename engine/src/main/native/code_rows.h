/*
 * compressed-tensors: the low nibble of byte j of a row is the code of column 2j, and groups are whole 32 columns.
 * Activations are prepared with the even ones of each 32 before the odd ones.
 */
#include "matrix.h"

INLINE void next_group(const matrix *m, i64 columns, i64 *g, i64 *left) {
    *left -= columns;
    *g += *left == 0;
    *left = *left ? *left : m->size;
}

/* Scales of up to eight blocks of 32 columns, and their zeros times these; g and left say where in a group they are. */
INLINE f32x8 code_scales(const matrix *m, i64 row, i64 count, i64 *g, i64 *left, f32x8 *minima) {
    if (m->size % 128 == 0 && count == 8) {
        /* At most two groups. */
        float low, high, scale = code_scale(m, row, *g, &low);
        next_group(m, 128, g, left);
        float second = code_scale(m, row, *g, &high);
        next_group(m, 128, g, left);
        *minima = (f32x8){low, low, low, low, high, high, high, high};
        return (f32x8){scale, scale, scale, scale, second, second, second, second};
    }
    float scales[8] = {}, least[8] = {};
    for (i64 i = 0; i < count; i++) {
        scales[i] = code_scale(m, row, *g, least + i);
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
        scales = code_scales(m, row, 8, &g, &left, &minima);
        code_blocks(&s, &a, k, w + k / 2, &t, 8, scales, minima);
    }
    if (k < columns) {
        i64 count = (columns - k) / 32;
        scales = code_scales(m, row, count, &g, &left, &minima);
        code_blocks(&s, &a, k, w + k / 2, &t, count, scales, minima);
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

static void codes_by_rows(const matrix *m, const range *r, const float *x, float *out) {
    for (i64 row = r->first; row < r->end; row++) {
        i64 i = 0;
        for (; i + TOGETHER <= r->rows; i += TOGETHER) {
            CODE_ROW(m, row, x + i * r->stride, r->stride, TOGETHER, out + i * r->outputs + row, r->outputs);
        }
        for (; i < r->rows; i++) {
            CODE_ROW(m, row, x + i * r->stride, r->stride, 1, out + i * r->outputs + row, r->outputs);
        }
    }
}
