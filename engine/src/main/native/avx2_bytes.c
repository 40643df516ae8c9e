/*
 * Products of many rows of activations in bytes with rows of blocks, by AVX2. Codes stay above zero here, and products
 * of pairs are summed in 16 bits as long as they fit. Codes with a sign give theirs to the activations instead.
 */
#include "byte_panels.h"

/* Rows of activations whose sums stay in registers, with those of VECTORS times eight outputs. */
#define ROWS_TOGETHER 4
#define VECTORS 2

/* Memory of a call. */
typedef struct {
    float scales[DEPTH / 16][PANEL];
    float minima[DEPTH / 16][PANEL];
    i32x8 tiles[DEPTH / 4][PANEL / 8]; /* four columns of eight outputs each */
    spread_panel spread;
    float sums[][PANEL]; /* [panels][rows of activations] */
} work;

void make_byte_rows(const float *x, i64 rows, i64 columns, u8 *to) {
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


/* Eight rows of eight as columns. */
INLINE void transpose8(i32x8 v[8]) {
    for (int step = 0; step < 3; step++) {
        i32x8 z[8];
        for (int i = 0; i < 4; i++) {
            z[2 * i] = __builtin_shufflevector(v[i], v[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
            z[2 * i + 1] = __builtin_shufflevector(v[i], v[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
        }
        for (int i = 0; i < 8; i++) {
            v[i] = z[i];
        }
    }
}

/* Eight numbers of each of eight outputs, a row for each, as a row of outputs for each number. */
INLINE void turn8(const u8 *from, i64 stride, u8 *to, i64 to_stride) {
    i32x8 v[8];
    for (i64 n = 0; n < 8; n++) {
        v[n] = LOAD(i32x8, from + n * stride);
    }
    transpose8(v);
    for (i64 n = 0; n < 8; n++) {
        STORE(to + n * to_stride, v[n]);
    }
}

/* Spreads a panel's weights of some columns into tiles; what is behind them stays what it was, and is not used. */
static void fill(work *w, i64 type, const u8 *weights, i64 head, i64 first, i64 count, i64 columns, i64 k, i64 some) {
    if (is_by_columns(type)) {
        panel_tiles to = {(u8 *)w->tiles, 4 * PANEL, 64, w->scales, w->minima};
        put_codes(&to, type, (const matrix *)weights, first, count, k, some);
        return;
    }
    spread_panel *p = &w->spread;
    spread_rows(p, type, weights, head, first, count, columns, k, some);
    for (i64 n = 0; n < PANEL; n += 8) {
        for (i64 g = 0; g < 16; g += 8) {
            turn8((u8 *)(p->row_scales[n] + g), sizeof(p->row_scales[0]), (u8 *)(w->scales[g] + n), 4 * PANEL);
            turn8((u8 *)(p->row_minima[n] + g), sizeof(p->row_minima[0]), (u8 *)(w->minima[g] + n), 4 * PANEL);
        }
        for (i64 i = 0; i < some; i += 32) {
            turn8((u8 *)p->codes[n] + i, DEPTH, (u8 *)(w->tiles[i / 4] + n / 8), sizeof(w->tiles[0]));
        }
    }
}

INLINE __m256i pairs_total(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

/*
 * The products of some rows with VECTORS of a group's tiles.
 *
 *   run  products of pairs that fit a sum of 16 bits; 0: codes have signs
 */
INLINE void group_dots(const i32x8 (*tile)[PANEL / 8], const u8 *x, i64 group, int run,
        __m256i dots[ROWS_TOGETHER][VECTORS]) {
    __m256i pairs[ROWS_TOGETHER][VECTORS];
    UNROLL
    for (int i = 0; i < group / 4; i++) {
        __m256i codes[VECTORS], sizes[VECTORS];
        UNROLL
        for (int v = 0; v < VECTORS; v++) {
            codes[v] = (__m256i)tile[i][v];
            sizes[v] = run ? codes[v] : _mm256_abs_epi8(codes[v]);
        }
        UNROLL
        for (int r = 0; r < ROWS_TOGETHER; r++) {
            __m256i four = _mm256_set1_epi32(LOAD(i32, x + 32 * r + 4 * i));
            UNROLL
            for (int v = 0; v < VECTORS; v++) {
                __m256i signed_four = run ? four : _mm256_sign_epi8(four, codes[v]);
                __m256i sum = _mm256_maddubs_epi16(sizes[v], signed_four);
                pairs[r][v] = run && i % run ? _mm256_add_epi16(pairs[r][v], sum) : sum;
                if (!run || i % run == run - 1 || i == group / 4 - 1) {
                    __m256i all = pairs_total(pairs[r][v]);
                    dots[r][v] = i < (run ? run : 1) ? all : _mm256_add_epi32(dots[r][v], all);
                }
            }
        }
    }
}

/* The products of sixteen rows with a panel. */
INLINE void multiply16(work *w, const byte_rows *x, i64 groups, i64 group, int has_minima, int run, int begin,
        float (*sums)[PANEL]) {
    for (i64 row = 0; row < 16; row += ROWS_TOGETHER) {
        for (i64 v = 0; v < PANEL / 8; v += VECTORS) {
            f32x8 s[ROWS_TOGETHER][VECTORS];
            UNROLL
            for (int r = 0; r < ROWS_TOGETHER; r++) {
                UNROLL
                for (int i = 0; i < VECTORS; i++) {
                    s[r][i] = begin ? (f32x8){} : LOAD(f32x8, sums[row + r] + 8 * (v + i));
                }
            }
            for (i64 g = 0; g < groups; g++) {
                __m256i dots[ROWS_TOGETHER][VECTORS];
                const u8 *at = x->bytes + (group == 32 ? g * 512 : g / 2 * 512 + g % 2 * 16) + 32 * row;
                group_dots((const i32x8(*)[PANEL / 8]) & w->tiles[g * group / 4][v], at, group, run, dots);
                const float *scale = x->scales + (group == 32 ? g : g / 2) * 16 + row;
                const float *sum = x->sums + g * 16 + row;
                UNROLL
                for (int i = 0; i < VECTORS; i++) {
                    f32x8 factor = LOAD(f32x8, w->scales[g] + 8 * (v + i));
                    f32x8 minimum = has_minima ? LOAD(f32x8, w->minima[g] + 8 * (v + i)) : (f32x8){};
                    UNROLL
                    for (int r = 0; r < ROWS_TOGETHER; r++) {
                        s[r][i] = FMA(CONVERT(f32x8, (i32x8)dots[r][i]) * factor, (f32x8){} + scale[r], s[r][i]);
                        if (has_minima) {
                            s[r][i] = FMA(minimum, (f32x8){} - sum[r], s[r][i]);
                        }
                    }
                }
            }
            UNROLL
            for (int r = 0; r < ROWS_TOGETHER; r++) {
                UNROLL
                for (int i = 0; i < VECTORS; i++) {
                    STORE(sums[row + r] + 8 * (v + i), s[r][i]);
                }
            }
        }
    }
}

#include "byte_loops.h"

void avx2_bytes(i64 type, const u8 *weights, i64 head, i64 first, i64 count, i64 columns, i64 rows, const u8 *a,
        i64 stride, float *out, u8 *scratch) {
    work *w = (work *)scratch;
#define PANELS(group, has_minima, run)                                                                                 \
    multiply_panels(w, type, weights, head, first, count, columns, a, rows, group, has_minima, run);                   \
    break;
    switch (type) {
        case 2: case 3: case 12:                    /* Q4_0, Q4_1, Q4_K */
        case CODES_AWQ: case CODES_GPTQ: case CODES_BY_ROWS: PANELS(32, 1, 8)
        case 6: case 7: case 13: PANELS(32, 1, 4)   /* Q5_0, Q5_1, Q5_K */
        case 10: case 11: PANELS(16, 1, 4)          /* Q2_K, Q3_K */
        case 14: PANELS(16, 1, 2)                   /* Q6_K */
        case 8: case 20: case 23: case 39: PANELS(32, 0, 0) /* Q8_0, IQ4_NL, IQ4_XS, MXFP4 */
        case BYTES_GPTQ: case BYTES_BY_ROWS:
            if (codes_have_minima(type, weights)) {
                PANELS(32, 1, 0)
            } else {
                PANELS(32, 0, 0)
            }
    }
    float(*panel)[PANEL] = w->sums;
    for (i64 n = 0; n < count; n += PANEL, panel += whole_rows(rows)) {
        for (i64 row = 0; row < rows; row++) {
            for (i64 i = n; i < count && i < n + PANEL; i++) {
                out[row * stride + i] = panel[row][i - n];
            }
        }
    }
}

i64 avx2_bytes_room(i64 outputs, i64 rows) { return work_bytes(outputs, rows); }
i64 byte_row_bytes(i64 columns) { return block_bytes(columns); }
