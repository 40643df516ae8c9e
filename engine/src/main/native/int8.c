/* The kernels of one instruction set for activations in bytes. */
#include "int8.h"

#include "codes_int8.h"

#define WAY int8
#include "kernels.h"

/* Prepares activations for rows of blocks. A number that is not finite makes its block's scale NaN. */
void NAME(prepare)(i64 pairs, i64 columns, const float *x, float *to) {
    float *scales = to + columns / 4, *sums32 = scales + columns / 32, *sums16 = scales + columns / 16;
    i8 *bytes = (i8 *)to;
    for (i64 k = 0; k < columns; k += 32) {
        f32x16 v[2];
        load_block(x + k, pairs, v);
        f32x16 largest = __builtin_elementwise_max(__builtin_elementwise_abs(v[0]), __builtin_elementwise_abs(v[1]));
        float most = largest16(largest);
        float inverse = most > 0 ? 127 / most : 0;
        i32x16 first = CONVERT(i32x16, __builtin_elementwise_roundeven(v[0] * inverse));
        i32x16 second = CONVERT(i32x16, __builtin_elementwise_roundeven(v[1] * inverse));
        STORE(bytes + k, CONVERT(i8x16, first));
        STORE(bytes + k + 16, CONVERT(i8x16, second));
        float scale = most / 127 + sum16((v[0] + v[1]) * 0);
        float a = sum16(CONVERT(f32x16, first)) * scale, b = sum16(CONVERT(f32x16, second)) * scale;
        scales[k / 32] = scale;
        sums32[k / 32] = a + b;
        sums16[k / 16] = a;
        sums16[k / 16 + 1] = b;
    }
}
