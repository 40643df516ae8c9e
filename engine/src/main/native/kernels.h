/*
 * What both forms of activations have: rows of blocks and codes by rows. build.py compiles each form once for each
 * instruction set, SET.
 */
#include "forms.h"

#include "quantize.h"

#include "minima.h"

#include "rows.h"

#if BYTES && defined(__AVX512VBMI__)
#define WIDE 1
#include "wide.h"
#endif

#include "code_rows.h"

#include "codes.h"

#if BYTES
#include "many_codes.h"
#define MANY(layout) many_##layout
#else
#define MANY(layout) codes_##layout
#endif

/* What kernels may load behind a row, for groups that it has not: their scales of zero times numbers. */
INLINE void clear16(float *at) { STORE(at, (f32x16){}); }

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
        TYPE_WIDE(39, MXFP4)
    }
}

/*
 * Some outputs of a matrix of codes; CODES_AWQ + layout says which. Of codes by columns, one row of activations gets
 * one part, and so do several in fp32; several in bytes get all.
 */
void NAME(codes)(i64 layout, const matrix *m, const range *r, const float *x, float *out) {
    int several = BYTES && r->rows > 1;
    switch (CODES_AWQ + layout) {
        case CODES_AWQ:
            if (several) {
                MANY(AWQ)(m, r, x, out);
                break;
            }
            for (i64 i = 0; i < r->rows; i++, x += r->stride, out += r->outputs) {
                codes_AWQ(m, r, x, out);
            }
            break;
        case CODES_GPTQ: (several ? MANY(GPTQ) : codes_GPTQ)(m, r, x, out); break;
        case BYTES_GPTQ: bytes_GPTQ(m, r, x, out); break;
        default: codes_by_rows(m, r, x, out);
    }
}
