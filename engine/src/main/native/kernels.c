/* All kernels of one instruction set; SET is its name. build.py compiles this file once for each. */
#include "fp32.h"

#include "minima.h"

#include "rows.h"

#include "plain.h"

#include "codes.h"

#include "code_rows.h"

#define NAMED(name, set) name##_##set
#define NAME(name, set) NAMED(name, set)

/* Prepares activations for rows of blocks: copied, and their sums by 32 and by 16 behind them. */
void NAME(prepare, SET)(i64 pairs, i64 columns, const float *x, float *to) {
    for (i64 k = 0; k < columns; k += 32) {
        float first = 0, second = 0;
        for (i64 i = 0; i < 16; i++) {
            float a = x[k + (pairs ? 2 * i : i)], b = x[k + (pairs ? 2 * i + 1 : i + 16)];
            to[k + i] = a;
            to[k + 16 + i] = b;
            first += a;
            second += b;
        }
        to[columns + k / 32] = first + second;
        to[columns + columns / 32 + k / 16] = first;
        to[columns + columns / 32 + k / 16 + 1] = second;
    }
}

/* Rows first to end - 1 of a matrix of GGUF's type, times one row of activations. */
void NAME(rows, SET)(i64 type, const u8 *weights, i64 head, i64 first, i64 end, i64 columns, const float *x,
        float *out) {
#define TYPE(number, name)                                                                                             \
    case number: rows_##name(weights, head, first, end, columns, x, out); break;
    switch (type) {
        TYPE(0, F32)
        TYPE(1, F16)
        TYPE(2, Q4_0)
        TYPE(3, Q4_1)
        TYPE(6, Q5_0)
        TYPE(7, Q5_1)
        TYPE(8, Q8_0)
        TYPE(10, Q2_K)
        TYPE(11, Q3_K)
        TYPE(12, Q4_K)
        TYPE(13, Q5_K)
        TYPE(14, Q6_K)
        TYPE(20, IQ4_NL)
        TYPE(23, IQ4_XS)
        TYPE(30, BF16)
    }
}

/* Some outputs of a matrix of codes: words of eight (AWQ, layout 0), or single ones (GPTQ 1, by rows 2). */
void NAME(codes, SET)(i64 layout, const u8 *codes, const u8 *zeros, const u8 *scales, i64 less_one, i64 outputs,
        i64 groups, i64 size, i64 first, i64 end, const float *x, float *out) {
    matrix m = {codes, zeros, scales, outputs, groups, size, less_one ? 0x11111111u : 0};
    switch (layout) {
        case 0: codes_AWQ(&m, first, end, x, out); break;
        case 1: codes_GPTQ(&m, first, end, x, out); break;
        case 2: codes_ROWS(&m, first, end, x, out); break;
    }
}
