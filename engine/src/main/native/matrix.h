/* A matrix of 4-bit or 8-bit codes with scales and zeros; the layouts are those of AwqLayout and StoredCodes. */
#ifndef NIBBLE_MATRIX_H
#define NIBBLE_MATRIX_H
#include "vectors.h"

typedef struct {
    const u8 *codes;
    const u8 *zeros; /* none: all are in the middle, 8 or 128 */
    const u8 *scales;
    i64 outputs;
    i64 groups;
    i64 size;     /* inputs of a group */
    u32 less_one; /* what is added to a word of zeros */
    i64 bits;
} matrix;

/* What a call computes: outputs first to end - 1 for some rows of activations. */
typedef struct {
    const u8 *weights; /* of a matrix of GGUF's type */
    i64 head;          /* rows of a head whose rows are interleaved, or 0 */
    i64 first;
    i64 end;
    i64 columns;
    i64 rows;    /* of activations */
    i64 stride;  /* from one of them to the next */
    i64 outputs; /* from one row of outputs to the next */
    i64 first_group; /* of codes by columns: the groups to sum, all of them where there are several rows */
    i64 end_group;
    i64 part;    /* groups of a part: what each part adds up to is added to those before it */
    float *room; /* for the sums of a part, PART_ROOM for each row */
} range;

/* Outputs of a tile of several rows: the floats of each row that a part's sums take. */
#define PART_ROOM 256

/* Where the row of Hugging Face's order stands whose file interleaves the rows of heads. */
INLINE i64 stored_row(i64 row, i64 head) {
    i64 within = head ? row % head : 0;
    return head ? row - within + 2 * (within % (head / 2)) + within / (head / 2) : row;
}

/* Of codes by rows: the scale of a row's group, and its zero times that; zeros of 8 bits are taken less 128. */
INLINE float code_scale(int bits, const matrix *m, i64 row, i64 g, float *minimum) {
    const i64 per = 32 / bits;
    i32 zero = 1 << (bits - 1);
    if (m->zeros) {
        zero = (i32)(LOAD(u32, m->zeros + 4 * (row / per * m->groups + g)) >> bits * (row % per)) & ((1 << bits) - 1);
    }
    float scale = half(m->scales + 2 * (row * m->groups + g));
    *minimum = scale * (float)(bits == 8 ? zero - 128 : zero);
    return scale;
}

#endif
