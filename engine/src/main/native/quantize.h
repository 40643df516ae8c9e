/* Activations as bytes, of which each 32 have a scale. */
#ifndef NIBBLE_QUANTIZE_H
#define NIBBLE_QUANTIZE_H
#include "vectors.h"

/* 32 activations; in pairs, the even ones come before the odd ones. */
INLINE void load_block(const float *x, i64 pairs, f32x16 v[2]) {
    f32x16 a = LOAD(f32x16, x), b = LOAD(f32x16, x + 16);
    v[0] = pairs ? __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) : a;
    v[1] = pairs ? __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31) : b;
}

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
