/*
 * Products of many rows of activations in bytes with rows of blocks, by AMX's tiles of bytes. A tile product is that of
 * one group of weights, so that its sums are exact; then they take the scales of both sides. int8.h says what they are.
 */
#include "matrix.h"
#include "quantize.h"
#include "tiles.h"

#include "spread.h"

#include "blocks.h"

/* Outputs at a time. */
#define PANEL 32

/* Columns at a time: the tiles of a panel take 8 KiB, the sums of 16 rows before their scales 16 KiB, or 32. */
#define DEPTH 256

/*
 * Sixteen rows of activations, zeros below the last: bytes [columns / 32][16][32], then for each of 32 columns the 16
 * rows' scales, then the sums of what their bytes stand for, then those of each 16 columns.
 */
INLINE i64 block_bytes(i64 columns) { return 24 * columns; }

void amx_rows(const float *x, i64 rows, i64 columns, u8 *to) {
    float *scales = (float *)(to + 16 * columns), *sums32 = scales + columns / 2, *sums16 = sums32 + columns / 2;
    for (i64 row = 0; row < 16; row++) {
        for (i64 k = 0; k < columns; k += 32) {
            quantized q = {};
            if (row < rows) {
                q = quantize(x + row * columns + k, 0);
            }
            STORE(to + 16 * k + 32 * row, q.first);
            STORE(to + 16 * k + 32 * row + 16, q.second);
            scales[k / 2 + row] = q.scale;
            sums32[k / 2 + row] = q.first_sum + q.second_sum;
            sums16[k + row] = q.first_sum;
            sums16[k + 16 + row] = q.second_sum;
        }
    }
}

INLINE i64 whole_rows(i64 rows) { return (rows + 15) / 16 * 16; }

/* What a type's codes are too large by: the whole of its minima, which need no sums of activations then. */
INLINE i8 offset(i64 type) {
    switch (type) {
        case 2: return 8;   /* Q4_0 */
        case 6: return 16;  /* Q5_0 */
        case 11: return 4;  /* Q3_K */
        case 14: return 32; /* Q6_K */
        default: return 0;
    }
}

/* Up to 256 weights of a row from column k on. */
static void spread(i64 type, const u8 *row, i64 k, i64 some, const activations *to) {
    sums none;
#define SPREAD(number, type, elements, bytes, values, is_signed)                                                       \
    case number: {                                                                                                     \
        const table t = tabled(values, is_signed);                                                                     \
        block_##type(&none, to, 0, row + k / elements * bytes, &t, some / elements);                                   \
        break;                                                                                                         \
    }
    switch (type) {
        SPREAD(2, Q4_0, 32, 18, PLAIN, 0)
        SPREAD(3, Q4_1, 32, 20, PLAIN, 0)
        SPREAD(6, Q5_0, 32, 22, PLAIN, 0)
        SPREAD(7, Q5_1, 32, 24, PLAIN, 0)
        SPREAD(8, Q8_0, 32, 34, PLAIN, 0)
        SPREAD(10, Q2_K, 256, 84, PLAIN, 0)
        SPREAD(11, Q3_K, 256, 110, PLAIN, 0)
        SPREAD(12, Q4_K, 256, 144, PLAIN, 0)
        SPREAD(13, Q5_K, 256, 176, PLAIN, 0)
        SPREAD(14, Q6_K, 256, 210, PLAIN, 0)
        SPREAD(20, IQ4_NL, 32, 18, IQ4, 1)
        SPREAD(23, IQ4_XS, 256, 136, IQ4, 1)
        SPREAD(39, MXFP4, 32, 17, E2M1, 1)
    }
}

/* The bytes of a block of so many weights. */
INLINE i64 row_bytes(i64 type, i64 columns) {
    static const u8 of32[] = {[2] = 18, [3] = 20, [6] = 22, [7] = 24, [8] = 34, [20] = 18};
    static const u8 of256[] = {[10] = 84, [11] = 110, [12] = 144, [13] = 176, [14] = 210, [23] = 136};
    return type < 9 || type == 20 ? columns / 32 * of32[type] : columns / 256 * of256[type];
}

/* Memory of a call. */
typedef struct {
    float scales[DEPTH / 16][PANEL];
    float minima[DEPTH / 16][PANEL];
    u8 tiles[2][DEPTH / 4][64]; /* four columns of 16 outputs to a line */
    i8 codes[PANEL][DEPTH];
    i32 dots[DEPTH / 16][2][16][16]; /* of 16 rows */
    float row_scales[PANEL][DEPTH / 16];
    float row_minima[PANEL][DEPTH / 16];
    float sums[][PANEL]; /* [panels][rows of activations] */
} work;

/* A row of sixteen numbers for each of 32 outputs, as a row of outputs for each number. */
INLINE void turn(const float from[PANEL][16], float to[16][PANEL]) {
    for (i64 half = 0; half < 2; half++) {
        i32x16 v[16];
        for (i64 n = 0; n < 16; n++) {
            v[n] = LOAD(i32x16, from[16 * half + n]);
        }
        transpose(v);
        for (i64 g = 0; g < 16; g++) {
            STORE(to[g] + 16 * half, v[g]);
        }
    }
}

/* Fetches a row's weights from column k on: the processor does not guess where a panel's next columns are. */
INLINE void fetch(const u8 *row, i64 type, i64 columns, i64 k) {
    i64 end = row_bytes(type, k + DEPTH < columns ? k + DEPTH : columns);
    for (i64 at = row_bytes(type, k); at < end; at += 64) {
        FETCH(row + at);
    }
}

/* Spreads a panel's weights of some columns into tiles; what is behind them stays what it was, and is not used. */
static void fill(work *w, i64 type, const u8 *weights, i64 head, i64 first, i64 count, i64 columns, i64 k, i64 some) {
    for (i64 n = 0; n < PANEL; n++) {
        if (n < count) {
            activations to = {w->codes[n], w->row_scales[n], w->row_minima[n]};
            const u8 *row = weights + stored_row(first + n, head) * row_bytes(type, columns);
            spread(type, row, k, some, &to);
            fetch(row, type, columns, k + DEPTH);
        } else {
            STORE(w->row_scales[n], (f32x16){});
            STORE(w->row_minima[n], (f32x16){});
        }
    }
    turn(w->row_scales, w->scales);
    turn(w->row_minima, w->minima);
    const __m512i too_large = _mm512_set1_epi8(offset(type));
    for (i64 half = 0; half < 2; half++) {
        for (i64 i = 0; i < some; i += 64) {
            i32x16 v[16];
            for (i64 n = 0; n < 16; n++) {
                v[n] = (i32x16)_mm512_sub_epi8(_mm512_loadu_si512(w->codes[16 * half + n] + i), too_large);
            }
            transpose(v);
            for (i64 n = 0; n < 16; n++) {
                STORE(w->tiles[half][i / 4 + n], v[n]);
            }
        }
    }
}

/* The products of 16 rows with a panel, a group at a time. */
INLINE void multiply(work *w, const u8 *a, i64 groups, i64 group) {
    for (i64 g = 0; g < groups; g++) {
        _tile_loadd(4, a + (group == 32 ? g * 512 : g / 2 * 512 + g % 2 * 16), 32);
        _tile_loadd(6, w->tiles[0][g * group / 4], 64);
        _tile_loadd(7, w->tiles[1][g * group / 4], 64);
        if (g % 2 == 0) {
            _tile_zero(0);
            _tile_zero(1);
            _tile_dpbssd(0, 4, 6);
            _tile_dpbssd(1, 4, 7);
            _tile_stored(0, w->dots[g][0], 64);
            _tile_stored(1, w->dots[g][1], 64);
        } else {
            _tile_zero(2);
            _tile_zero(3);
            _tile_dpbssd(2, 4, 6);
            _tile_dpbssd(3, 4, 7);
            _tile_stored(2, w->dots[g][0], 64);
            _tile_stored(3, w->dots[g][1], 64);
        }
    }
}

/* Four rows at a time keep their sums in registers. */
#define ROWS_IN_REGISTERS 4

/* Adds the products of groups, times their scales, to the sums of 16 rows, or begins them. */
INLINE void add(const work *w, const float *scales, const float *activation_sums, i64 groups, i64 group, int has_minima,
        int begin, float (*sums)[PANEL]) {
    for (i64 row = 0; row < 16; row += ROWS_IN_REGISTERS) {
        __m512 s[ROWS_IN_REGISTERS][2];
        for (int i = 0; i < ROWS_IN_REGISTERS; i++) {
            for (int half = 0; half < 2; half++) {
                s[i][half] = begin ? _mm512_setzero_ps() : _mm512_loadu_ps(sums[row + i] + 16 * half);
            }
        }
        for (i64 g = 0; g < groups; g++) {
            const float *scale = scales + (group == 32 ? g : g / 2) * 16 + row;
            const float *sum = activation_sums + g * 16 + row;
            for (int half = 0; half < 2; half++) {
                __m512 factor = _mm512_loadu_ps(w->scales[g] + 16 * half);
                __m512 minimum = _mm512_loadu_ps(w->minima[g] + 16 * half);
                for (int i = 0; i < ROWS_IN_REGISTERS; i++) {
                    __m512 dots = _mm512_cvtepi32_ps(_mm512_loadu_si512(w->dots[g][half][row + i]));
                    s[i][half] = _mm512_fmadd_ps(_mm512_mul_ps(dots, factor), _mm512_set1_ps(scale[i]), s[i][half]);
                    if (has_minima) {
                        s[i][half] = _mm512_fnmadd_ps(minimum, _mm512_set1_ps(sum[i]), s[i][half]);
                    }
                }
            }
        }
        for (int i = 0; i < ROWS_IN_REGISTERS; i++) {
            for (int half = 0; half < 2; half++) {
                _mm512_storeu_ps(sums[row + i] + 16 * half, s[i][half]);
            }
        }
    }
}

/* Some outputs, a panel after another while some columns of the activations stay in the cache. */
INLINE void multiply_panels(work *w, i64 type, const u8 *weights, i64 head, i64 first, i64 count, i64 columns,
        const u8 *a, i64 rows, i64 group, int has_minima) {
    for (i64 n = 0; n < count; n++) {
        fetch(weights + stored_row(first + n, head) * row_bytes(type, columns), type, columns, 0);
    }
    for (i64 k = 0; k < columns; k += DEPTH) {
        i64 some = columns - k < DEPTH ? columns - k : DEPTH;
        float(*panel)[PANEL] = w->sums;
        for (i64 n = 0; n < count; n += PANEL, panel += whole_rows(rows)) {
            fill(w, type, weights, head, first + n, count - n, columns, k, some);
            for (i64 row = 0; row < rows; row += 16) {
                const u8 *block = a + row / 16 * block_bytes(columns);
                const float *scales = (const float *)(block + 16 * columns);
                const float *sums = scales + columns / 2 + (group == 32 ? 0 : columns / 2);
                multiply(w, block + 16 * k, some / group, group);
                add(w, scales + k / 2, sums + k * 16 / group, some / group, group, has_minima, k == 0, panel + row);
            }
        }
    }
}

/*
 * out[row, first ..] = a[row] weights[first ..] for some outputs.
 *
 *   a        as amx_rows makes it, of rows that are multiples of 16
 *   scratch  room for `work` and the sums of all outputs of all rows
 *   out      at output `first` of the first row
 */
void amx_bytes(i64 type, const u8 *weights, i64 head, i64 first, i64 count, i64 columns, i64 rows, const u8 *a,
        i64 stride, float *out, u8 *scratch) {
    work *w = (work *)scratch;
    int small = type == 10 || type == 11 || type == 14;
    configuration c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.columns[i] = i == 4 ? (small ? 16 : 32) : 64;
        c.rows[i] = i >= 6 ? (small ? 4 : 8) : 16;
    }
    _tile_loadconfig(&c);
    if (type == 10) {
        multiply_panels(w, type, weights, head, first, count, columns, a, rows, 16, 1);
    } else if (small) {
        multiply_panels(w, type, weights, head, first, count, columns, a, rows, 16, 0);
    } else if (type == 3 || type == 7 || type == 12 || type == 13) {
        multiply_panels(w, type, weights, head, first, count, columns, a, rows, 32, 1);
    } else {
        multiply_panels(w, type, weights, head, first, count, columns, a, rows, 32, 0);
    }
    _tile_release();
    float(*panel)[PANEL] = w->sums;
    for (i64 n = 0; n < count; n += PANEL, panel += whole_rows(rows)) {
        for (i64 row = 0; row < rows; row++) {
            for (i64 i = n; i < count && i < n + PANEL; i += 16) {
                __mmask16 mask = count - i >= 16 ? 0xffff : (1u << (count - i)) - 1;
                _mm512_mask_storeu_ps(out + row * stride + i, mask, _mm512_loadu_ps(panel[row] + i - n));
            }
        }
    }
}

i64 amx_bytes_room(i64 outputs, i64 rows) {
    return (i64)sizeof(work) + (outputs + PANEL - 1) / PANEL * whole_rows(rows) * PANEL * (i64)sizeof(float);
}
i64 amx_row_bytes(i64 columns) { return block_bytes(columns); }
