/*
 * What both forms of activations have: rows of blocks and codes by rows. build.py compiles each form once for each
 * instruction set, SET.
 */
#include "forms.h"

#include "minima.h"

#include "rows.h"

#include "code_rows.h"

#include "codes.h"

/* 32 activations; in pairs, the even ones come before the odd ones. */
INLINE void load_block(const float *x, i64 pairs, f32x16 v[2]) {
    f32x16 a = LOAD(f32x16, x), b = LOAD(f32x16, x + 16);
    v[0] = pairs ? __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) : a;
    v[1] = pairs ? __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31) : b;
}

/* What kernels may load behind a row, for groups that it has not: their scales of zero times numbers. */
INLINE void clear16(float *at) { STORE(at, (f32x16){}); }

#if BYTES
/* 32 activations as bytes, their scale, and the sums of what each half stands for. */
typedef struct {
    i8x16 first, second;
    float scale, first_sum, second_sum;
} quantized;

INLINE quantized quantize(const float *x, i64 pairs) {
    f32x16 v[2];
    load_block(x, pairs, v);
    f32x16 largest = __builtin_elementwise_max(__builtin_elementwise_abs(v[0]), __builtin_elementwise_abs(v[1]));
    float most = largest16(largest);
    float inverse = most > 0 ? 127 / most : 0;
    i32x16 first = CONVERT(i32x16, __builtin_elementwise_roundeven(v[0] * inverse));
    i32x16 second = CONVERT(i32x16, __builtin_elementwise_roundeven(v[1] * inverse));
    float scale = most / 127 + sum16((v[0] + v[1]) * 0);
    return (quantized){CONVERT(i8x16, first), CONVERT(i8x16, second), scale, sum16(CONVERT(f32x16, first)) * scale,
            sum16(CONVERT(f32x16, second)) * scale};
}
#endif

#if BYTES && defined(__AVX512VBMI__)
#define WIDE 1
#include "wide.h"
#endif

#define JOINED(name, way, set) name##_##way##_##set
#define EXPANDED(name, way, set) JOINED(name, way, set)
#define NAME(name) EXPANDED(name, WAY, SET)

/* Rows of a matrix of GGUF's type, by its number. */
void NAME(rows)(i64 type, const range *r, const float *x, float *out) {
#define TYPE(number, name)                                                                                             \
    case number: rows_##name(r, x, out); break;
#if WIDE
#define TYPE_WIDE(number, name)                                                                                        \
    case number: wide_rows_##name(r, x, out); break;
#else
#define TYPE_WIDE TYPE
#endif
    switch (type) {
        TYPE_WIDE(2, Q4_0)
        TYPE_WIDE(3, Q4_1)
        TYPE(6, Q5_0)
        TYPE(7, Q5_1)
        TYPE_WIDE(8, Q8_0)
        TYPE(10, Q2_K)
        TYPE(11, Q3_K)
        TYPE_WIDE(12, Q4_K)
        TYPE_WIDE(13, Q5_K)
        TYPE_WIDE(14, Q6_K)
        TYPE_WIDE(20, IQ4_NL)
        TYPE(23, IQ4_XS)
    }
}

/* Some outputs of a matrix of codes: AWQ's (layout 0), GPTQ's (1), or by rows (2). */
void NAME(codes)(i64 layout, const matrix *m, const range *r, const float *x, float *out) {
    if (layout == 2) {
        codes_by_rows(m, r, x, out);
        return;
    }
    for (i64 i = 0; i < r->rows; i++, x += r->stride, out += r->outputs) {
        if (layout == 0) {
            codes_AWQ(m, r, x, out);
        } else {
            codes_GPTQ(m, r, x, out);
        }
    }
}
