/* The kernels of one instruction set for activations in fp32. */
#include "fp32.h"

#include "codes_fp32.h"

#define WAY fp32
#define BYTES 0
#include "kernels.h"

#include "plain.h"

#include "attention.h"


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
