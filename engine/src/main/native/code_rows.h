/*
 * compressed-tensors: the low nibble of byte j of a row is the code of column 2j, and groups are whole 32 columns.
 * Activations are prepared with the even ones of each 32 before the odd ones.
 */
#include "matrix.h"

INLINE void code_row(const matrix *m, i64 row, const float *x, i64 stride, int rows, float *out, i64 outputs) {
    const table t = tabled(PLAIN, 0);
    i64 columns = m->groups * m->size;
    activations a = prepared(x, columns, stride, rows);
    const u8 *w = m->codes + row * (columns / 2);
    sums s = {};
    for (i64 g = 0; g < m->groups; g++) {
        f32x8 scale = (f32x8){} + half(m->scales + 2 * (row * m->groups + g));
        u32 zero = 8;
        if (m->zeros) {
            zero = LOAD(u32, m->zeros + 4 * (row / 8 * m->groups + g)) >> 4 * (row % 8) & 15;
        }
        i64 end = (g + 1) * m->size;
        for (i64 k = g * m->size; k < end; k += 256) {
            i64 count = end - k < 256 ? (end - k) / 32 : 8;
            const i32x8 at = {0, 1, 2, 3, 4, 5, 6, 7};
            f32x8 used = (f32x8)((i32x8)scale & (at < (i32)count));
            FETCH(w + k / 2 + AHEAD);
            FETCH(w + k / 2 + AHEAD + 64);
            subtract_minima32(&s, &a, k, used * (float)zero);
            nibble_blocks(&s, &a, k, w + k / 2, &t, count, 16, 0, used);
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
