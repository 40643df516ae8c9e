/* The forms of a row of activations that the kernels take. */
#ifndef NIBBLE_FORMS_H
#define NIBBLE_FORMS_H
#include "vectors.h"

/*
 *   IN_ORDER   as fp32.h and int8.h have it
 *   IN_PAIRS   the same, but each 32 has its even columns before its odd ones
 *   IN_TWOS    as IN_ORDER, but of each two blocks of 32 the first halves come before the second ones; a last block
 *              without another is in order
 *   PAIRS_IN_TWOS  both: in what IN_PAIRS has made, halves change places as in IN_TWOS
 *   BY_HALVES  and the others are those of wide.h
 */
enum { IN_ORDER, IN_PAIRS, IN_TWOS, PAIRS_IN_TWOS, BY_HALVES, NATURAL, BY_PAIRS, PAIRS_BY_HALVES };

/*
 * Codes, as if they were GGUF types: by columns, AWQ's and GPTQ's, and by rows; then those of 8 bits. Weights are a
 * `matrix` then.
 */
enum { CODES_AWQ = 100, CODES_GPTQ, CODES_BY_ROWS, BYTES_GPTQ, BYTES_BY_ROWS };

/* Columns of a row in wide.h's forms, of which those behind the last are zeros. */
INLINE i64 whole256(i64 columns) { return (columns + 255) / 256 * 256; }

/* Floats of a prepared row; a kernel may load the last sixteen, which mean nothing. */
INLINE i64 prepared_floats(i64 way, i64 form, i64 columns) {
    i64 values = way ? columns / 4 + columns / 32 : columns;
    return 16 + (form >= BY_HALVES ? whole256(columns) : values + columns / 32 + columns / 16);
}

/* The form that rows of a GGUF type take of activations in bytes with AVX2. */
INLINE i64 avx2_form(i64 type) {
    switch (type) {
        case 2: case 3: case 20: case 23: case 39: return IN_TWOS; /* Q4_0, Q4_1, IQ4_NL, IQ4_XS, MXFP4 */
        case CODES_BY_ROWS: return PAIRS_IN_TWOS;
        default: return IN_ORDER;
    }
}

/* The form that they take where there is wide.h. */
INLINE i64 wide_form(i64 type) {
    switch (type) {
        case 2: case 3: case 20: case 39: return BY_HALVES; /* Q4_0, Q4_1, IQ4_NL, MXFP4 */
        case 8: case 14: return NATURAL;                    /* Q8_0, Q6_K */
        case 12: case 13: return BY_PAIRS;                  /* Q4_K, Q5_K */
        case CODES_BY_ROWS: return PAIRS_BY_HALVES;
        default: return IN_ORDER;
    }
}
#endif
