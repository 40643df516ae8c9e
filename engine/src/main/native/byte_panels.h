/*
 * Products of many rows of activations in bytes with rows of blocks: what amx_bytes.c and avx2_bytes.c share. They
 * define `work`, the memory of a call, and turn weights that are spread out into tiles of their own.
 */
#ifndef NIBBLE_BYTE_PANELS_H
#define NIBBLE_BYTE_PANELS_H
#include "matrix.h"
#include "quantize.h"

#include "spread.h"

#include "blocks.h"

#include "forms.h"

/* Outputs at a time. */
#define PANEL 32

/* Columns at a time: the tiles of a panel take 8 KiB. */
#define DEPTH 256

/*
 * Sixteen rows of activations, zeros below the last: bytes [columns / 32][16][32], then for each of 32 columns the 16
 * rows' scales, then the sums of what their bytes stand for, then those of each 16 columns.
 */
INLINE i64 block_bytes(i64 columns) { return 24 * columns; }

INLINE i64 whole_rows(i64 rows) { return (rows + 15) / 16 * 16; }

/* Types of blocks: number, name, weights and bytes of a block, values of its nibbles and whether they have signs. */
#define BLOCK_TYPES(OF)                                                                                                \
    OF(2, Q4_0, 32, 18, PLAIN, 0)                                                                                      \
    OF(3, Q4_1, 32, 20, PLAIN, 0)                                                                                      \
    OF(6, Q5_0, 32, 22, PLAIN, 0)                                                                                      \
    OF(7, Q5_1, 32, 24, PLAIN, 0)                                                                                      \
    OF(8, Q8_0, 32, 34, PLAIN, 0)                                                                                      \
    OF(10, Q2_K, 256, 84, PLAIN, 0)                                                                                    \
    OF(11, Q3_K, 256, 110, PLAIN, 0)                                                                                   \
    OF(12, Q4_K, 256, 144, PLAIN, 0)                                                                                   \
    OF(13, Q5_K, 256, 176, PLAIN, 0)                                                                                   \
    OF(14, Q6_K, 256, 210, PLAIN, 0)                                                                                   \
    OF(20, IQ4_NL, 32, 18, IQ4, 1)                                                                                     \
    OF(23, IQ4_XS, 256, 136, IQ4, 1)                                                                                   \
    OF(39, MXFP4, 32, 17, E2M1, 1)

/* Up to 256 weights of a row from column k on. */
static void spread(i64 type, const u8 *row, i64 k, i64 some, const activations *to) {
    sums none;
#define SPREAD(number, type, elements, bytes, values, is_signed)                                                       \
    case number: {                                                                                                     \
        const table t = tabled(values, is_signed);                                                                     \
        block_##type(&none, to, 0, row + k / elements * bytes, &t, some / elements);                                   \
        break;                                                                                                         \
    }
    switch (type) { BLOCK_TYPES(SPREAD) }
}

/* The bytes of a row of so many weights. */
INLINE i64 row_bytes(i64 type, i64 columns) {
#define ROW_BYTES(number, type, elements, bytes, values, is_signed)                                                    \
    case number: return columns / elements * bytes;
    switch (type) {
        BLOCK_TYPES(ROW_BYTES)
        default: return 0;
    }
}

/* A panel's weights of some columns, spread out. */
typedef struct {
    i8 codes[PANEL][DEPTH];
    float row_scales[PANEL][DEPTH / 16];
    float row_minima[PANEL][DEPTH / 16];
} spread_panel;

/* Fetches a row's weights from column k on: the processor does not guess where a panel's next columns are. */
INLINE void fetch(const u8 *row, i64 type, i64 columns, i64 k) {
    i64 end = row_bytes(type, k + DEPTH < columns ? k + DEPTH : columns);
    for (i64 at = row_bytes(type, k); at < end; at += 64) {
        FETCH(row + at);
    }
}

#include "code_panels.h"

/* Spreads a panel's weights of some columns; codes of rows that there are not stay, their scales are zero. */
static void spread_rows(spread_panel *p, i64 type, const u8 *weights, i64 head, i64 first, i64 count, i64 columns,
        i64 k, i64 some) {
    for (i64 n = 0; n < PANEL; n++) {
        if (n < count) {
            activations to = {p->codes[n], p->row_scales[n], p->row_minima[n]};
            if (type >= CODES_AWQ) {
                spread_codes(type, (const matrix *)weights, first + n, k, some, &to);
                continue;
            }
            const u8 *row = weights + stored_row(first + n, head) * row_bytes(type, columns);
            spread(type, row, k, some, &to);
            fetch(row, type, columns, k + DEPTH);
        } else {
            STORE(p->row_scales[n], (f32x16){});
            STORE(p->row_minima[n], (f32x16){});
        }
    }
}

/* The rows of activations, and where they begin from some column on. */
typedef struct {
    const u8 *bytes;
    const float *scales;
    const float *sums; /* by groups */
} byte_rows;

INLINE byte_rows rows_at(const u8 *a, i64 row, i64 columns, i64 k, i64 group) {
    const u8 *block = a + row / 16 * block_bytes(columns);
    const float *scales = (const float *)(block + 16 * columns);
    const float *sums = scales + columns / 2 + (group == 32 ? 0 : columns / 2);
    return (byte_rows){block + 16 * k, scales + k / 2, sums + k * 16 / group};
}

#endif
