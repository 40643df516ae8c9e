/*
 * Products of many rows of activations in bytes with rows of blocks, by AMX's tiles of bytes. A tile product is that of
 * one group of weights, so that its sums are exact; then they take the scales of both sides. int8.h says what they are.
 */
#include "byte_panels.h"
#include "tiles.h"

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

/* Memory of a call. */
typedef struct {
    float scales[DEPTH / 16][PANEL];
    float minima[DEPTH / 16][PANEL];
    u8 tiles[2][DEPTH / 4][64]; /* four columns of 16 outputs to a line */
    spread_panel spread;
    i32 dots[DEPTH / 16][2][16][16]; /* of 16 rows */
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

/* Spreads a panel's weights of some columns into tiles; what is behind them stays what it was, and is not used. */
static void fill(work *w, i64 type, const u8 *weights, i64 head, i64 first, i64 count, i64 columns, i64 k, i64 some) {
    if (is_by_columns(type)) {
        panel_tiles to = {w->tiles[0][0], 64, sizeof(w->tiles[0]), w->scales, w->minima};
        put_codes(&to, type, (const matrix *)weights, first, count, k, some);
        return;
    }
    spread_rows(&w->spread, type, weights, head, first, count, columns, k, some);
    turn(w->spread.row_scales, w->scales);
    turn(w->spread.row_minima, w->minima);
    const __m512i too_large = _mm512_set1_epi8(offset(type));
    for (i64 half = 0; half < 2; half++) {
        for (i64 i = 0; i < some; i += 64) {
            i32x16 v[16];
            for (i64 n = 0; n < 16; n++) {
                v[n] = (i32x16)_mm512_sub_epi8(_mm512_loadu_si512(w->spread.codes[16 * half + n] + i), too_large);
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

INLINE void multiply16(work *w, const byte_rows *x, i64 groups, i64 group, int has_minima, int run, int begin,
        float (*sums)[PANEL]) {
    multiply(w, x->bytes, groups, group);
    add(w, x->scales, x->sums, groups, group, has_minima, begin, sums);
}

#include "byte_loops.h"

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
        multiply_panels(w, type, weights, head, first, count, columns, a, rows, 16, 1, 0);
    } else if (small) {
        multiply_panels(w, type, weights, head, first, count, columns, a, rows, 16, 0, 0);
    } else if (type == 3 || type == 7 || type == 12 || type == 13 || codes_have_minima(type, weights)) {
        multiply_panels(w, type, weights, head, first, count, columns, a, rows, 32, 1, 0);
    } else {
        multiply_panels(w, type, weights, head, first, count, columns, a, rows, 32, 0, 0);
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

i64 amx_bytes_room(i64 outputs, i64 rows) { return work_bytes(outputs, rows); }
