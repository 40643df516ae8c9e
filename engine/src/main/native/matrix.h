/* A matrix of 4-bit codes with scales and zeros of their own; the layouts are those of AwqLayout and StoredCodes. */
#ifndef NIBBLE_MATRIX_H
#define NIBBLE_MATRIX_H
#include "vectors.h"

typedef struct {
    const u8 *codes;
    const u8 *zeros; /* none: all are 8 */
    const u8 *scales;
    i64 outputs;
    i64 groups;
    i64 size;     /* inputs of a group */
    u32 less_one; /* what is added to a word of zeros */
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

/* Of codes by rows: the scale of a row's group, and its zero times that. */
INLINE float code_scale(const matrix *m, i64 row, i64 g, float *minimum) {
    u32 zero = m->zeros ? LOAD(u32, m->zeros + 4 * (row / 8 * m->groups + g)) >> 4 * (row % 8) & 15 : 8;
    float scale = half(m->scales + 2 * (row * m->groups + g));
    *minimum = scale * (float)zero;
    return scale;
}

#endif
