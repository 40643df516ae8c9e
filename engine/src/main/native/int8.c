/* The kernels of one instruction set for activations in bytes. */
#include "int8.h"

#include "codes_int8.h"

#define WAY int8
#define BYTES 1
#include "kernels.h"

/* Prepares activations for rows of blocks. A number that is not finite makes its block's scale NaN. */
void NAME(prepare)(i64 form, i64 columns, const float *x, float *to) {
#if WIDE
    if (form >= BY_HALVES) {
        wide_prepare(form, columns, x, to);
        return;
    }
#endif
    float *scales = to + columns / 4, *sums32 = scales + columns / 32, *sums16 = scales + columns / 16;
    i8 *bytes = (i8 *)to;
    for (i64 k = 0; k < columns; k += 32) {
        quantized q = quantize(x + k, form == IN_PAIRS || form == PAIRS_IN_TWOS);
        int in_twos = (form == IN_TWOS || form == PAIRS_IN_TWOS) && k / 64 * 64 + 64 <= columns;
        i64 first = in_twos ? k / 64 * 64 + k % 64 / 2 : k;
        STORE(bytes + first, q.first);
        STORE(bytes + first + (in_twos ? 32 : 16), q.second);
        scales[k / 32] = q.scale;
        sums32[k / 32] = q.first_sum + q.second_sum;
        sums16[k / 16] = q.first_sum;
        sums16[k / 16 + 1] = q.second_sum;
    }
    clear16(sums16 + columns / 16);
}
