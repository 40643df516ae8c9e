/* The kernels of one instruction set for activations in fp32. */
#include "fp32.h"

#include "codes_fp32.h"

#define WAY fp32
#define BYTES 0
#include "kernels.h"

#include "plain.h"

#include "attention.h"

#include "elements.h"

#include "panels.h"

/* Prepares activations for rows of blocks. */
void NAME(prepare)(i64 form, i64 columns, const float *x, float *to) {
    for (i64 k = 0; k < columns; k += 32) {
        f32x16 v[2];
        load_block(x + k, form == IN_PAIRS, v);
        STORE(to + k, v[0]);
        STORE(to + k + 16, v[1]);
        float first = sum16(v[0]), second = sum16(v[1]);
        to[columns + k / 32] = first + second;
        to[columns + columns / 32 + k / 16] = first;
        to[columns + columns / 32 + k / 16 + 1] = second;
    }
    clear16(to + columns + columns / 32 + columns / 16);
}

/* Rows of plain numbers, by GGUF's number of their type. */
void NAME(plain)(i64 type, const range *r, const float *x, float *out) {
    switch (type) {
        case F32: plain_rows(F32, r, x, out); break;
        case F16: plain_rows(F16, r, x, out); break;
        default: plain_rows(BF16, r, x, out); break;
    }
}

/* Attention of one query, whose scale comes as its bits. */
void NAME(attend)(i64 d, i64 stride, i64 seen, i64 heads, i64 scale, const float *query, const float *keys,
        const float *values, float *scores, float *out) {
    i32 bits = (i32)scale;
    attend(d, stride, seen, heads, LOAD(float, &bits), query, keys, values, scores, out);
}

/* Norms of rows, whose epsilon comes as its bits. */
void NAME(norm)(i64 rows, i64 n, i64 epsilon, const float *x, const float *weight, float *out) {
    norm_rows(rows, n, LOAD(double, &epsilon), x, weight, out);
}

void NAME(turn)(i64 n, i64 d, i64 half, const float *cosines, const float *sines, float *x) {
    turn_heads(n, d, half, x, cosines, sines);
}

void NAME(gate)(i64 kind, i64 n, const float *gate, const float *up, float *out) { gates(kind, n, gate, up, out); }

void NAME(add)(i64 n, const float *x, float *into) { add_to(n, x, into); }

void NAME(sum)(i64 parts, i64 apart, i64 n, const float *from, float *out) { sum_parts(parts, apart, n, from, out); }

void NAME(panel)(i64 rows, i64 depth, i64 a_stride, i64 c_stride, i64 accumulate, const float *a, const float *b,
        float *c) {
    panel_product(rows, depth, a, a_stride, b, c, c_stride, accumulate);
}

void NAME(soften)(i64 n, i64 width, float *scores, float *state, float *sums) {
    soften_scores(n, width, scores, state, sums);
}

void NAME(fill)(i64 type, i64 head, i64 first, i64 rows, i64 columns, i64 from, i64 depth, const u8 *weights,
        float *to) {
    switch (type) {
        case F32: fill_panel(F32, head, first, rows, columns, from, depth, weights, to); break;
        case F16: fill_panel(F16, head, first, rows, columns, from, depth, weights, to); break;
        default: fill_panel(BF16, head, first, rows, columns, from, depth, weights, to); break;
    }
}
