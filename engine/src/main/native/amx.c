/*
 * Products of fp32 matrices by AMX's tiles of bf16: each number is the sum of three of bf16, rounded in turn, so that
 * the products of these parts that matter to fp32 are six. An error of 2^-26 of a product remains.
 *
 *   a tile of a: 16 rows of 32 columns           a tile of b: 16 pairs of rows of 16 columns
 *   x = h + m + l                                x y = h h + (h m + m h) + (m m + h l + l h)
 */
#include "tiles.h"

#define TILE_BYTES 1024
#define PARTS 3
#define PANEL 32

/* Columns of a at a time: the tiles of a panel take 24 KiB. */
#define DEPTH 128

/* Eight tiles of 16 rows of 64 bytes. */
static void configure(void) {
    configuration c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.columns[i] = 64;
        c.rows[i] = 16;
    }
    _tile_loadconfig(&c);
}

/* The next part of 32 numbers, taken off them. */
INLINE __m512bh take(__m512 *low, __m512 *high) {
    __m512bh part = _mm512_cvtne2ps_pbh(*high, *low);
    __m512i bits = (__m512i)part;
    __m512i first = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(bits)), 16);
    __m512i second = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(bits, 1)), 16);
    *low = _mm512_sub_ps(*low, (__m512)first);
    *high = _mm512_sub_ps(*high, (__m512)second);
    return part;
}

INLINE __m512 load_some(const float *at, i64 count) {
    return count >= 16 ? _mm512_loadu_ps(at) : _mm512_maskz_loadu_ps(count <= 0 ? 0 : (1u << count) - 1, at);
}

/* Sixteen rows of a, or fewer, as tiles [columns / 32][part]; zeros fill them up. */
void amx_split(const float *a, i64 rows, i64 columns, u8 *tiles) {
    for (i64 k = 0; k < columns; k += 32, tiles += PARTS * TILE_BYTES) {
        for (i64 row = 0; row < 16; row++) {
            __m512 low = _mm512_setzero_ps(), high = low;
            if (row < rows) {
                low = load_some(a + row * columns + k, columns - k);
                high = load_some(a + row * columns + k + 16, columns - k - 16);
            }
            for (int part = 0; part < PARTS; part++) {
                _mm512_store_si512(tiles + part * TILE_BYTES + row * 64, (__m512i)take(&low, &high));
            }
        }
    }
}

/* Up to 16 columns of b, which lie by rows, as the tiles of their parts. Returns the bits of those not all zeros. */
static int split_columns(const float *rows, i64 count, i64 stride, i64 depth, u8 *tiles) {
    i32x16 v[PARTS][16], any[PARTS] = {};
    for (i64 n = 0; n < 16; n++) {
        __m512 low = _mm512_setzero_ps(), high = low;
        if (n < count) {
            low = load_some(rows + n * stride, depth);
            high = load_some(rows + n * stride + 16, depth - 16);
        }
        for (int part = 0; part < PARTS; part++) {
            v[part][n] = (i32x16)take(&low, &high);
            any[part] |= v[part][n];
        }
    }
    int found = 0;
    for (int part = 0; part < PARTS; part++) {
        if (_mm512_test_epi32_mask((__m512i)any[part], (__m512i)any[part])) {
            found |= 1 << part;
            transpose(v[part]);
        }
        for (int k = 0; k < 16; k++) {
            _mm512_store_si512(tiles + 2 * part * TILE_BYTES + 64 * k, (__m512i)v[part][k]);
        }
    }
    return found;
}

/* A panel of b, up to 32 columns that lie by rows, as tiles [depth / 32][part][2]. */
static int split_panel(const float *panel, i64 columns, i64 stride, i64 depth, u8 *tiles) {
    int found = 0;
    for (i64 k = 0; k < depth; k += 32, tiles += 2 * PARTS * TILE_BYTES) {
        found |= split_columns(panel + k, columns, stride, depth - k, tiles);
        found |= split_columns(panel + 16 * stride + k, columns - 16, stride, depth - k, tiles + TILE_BYTES);
    }
    return found;
}

#define LOAD_A(part)                                                                                                   \
    _tile_loadd(4, a + (part) * TILE_BYTES, 64);                                                                       \
    _tile_loadd(5, next_a + (part) * TILE_BYTES, 64);
#define LOAD_B(part)                                                                                                   \
    _tile_loadd(6, b + 2 * (part) * TILE_BYTES, 64);                                                                   \
    _tile_loadd(7, b + (2 * (part) + 1) * TILE_BYTES, 64);
#define MULTIPLY                                                                                                       \
    _tile_dpbf16ps(0, 4, 6);                                                                                           \
    _tile_dpbf16ps(1, 4, 7);                                                                                           \
    _tile_dpbf16ps(2, 5, 6);                                                                                           \
    _tile_dpbf16ps(3, 5, 7);

#define EACH_SUM(operation)                                                                                            \
    operation(0, sums, 4 * PANEL);                                                                                     \
    operation(1, sums + 16, 4 * PANEL);                                                                                \
    operation(2, sums + 16 * PANEL, 4 * PANEL);                                                                        \
    operation(3, sums + 16 * PANEL + 16, 4 * PANEL);

/* Adds to the sums of 32 rows by 32 columns, or begins them; the smallest products first. */
static void square(const u8 *a, i64 a_rows, const u8 *b, i64 steps, int parts, int begin, float *sums) {
    const u8 *next_a = a + a_rows;
    if (begin) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        EACH_SUM(_tile_loadd)
    }
    for (i64 k = 0; k < steps; k++) {
        if (parts & 4) {
            LOAD_A(0)
            LOAD_B(2)
            MULTIPLY
        }
        if (parts & 2) {
            LOAD_A(1)
            LOAD_B(1)
            MULTIPLY
            LOAD_A(0)
            MULTIPLY
        }
        LOAD_A(2)
        LOAD_B(0)
        MULTIPLY
        LOAD_A(1)
        MULTIPLY
        LOAD_A(0)
        MULTIPLY
        a += PARTS * TILE_BYTES;
        next_a += PARTS * TILE_BYTES;
        b += 2 * PARTS * TILE_BYTES;
    }
    EACH_SUM(_tile_stored)
}

/*
 * c[row, column ..] = sum over calls of a[row, from ..] b[from .., column ..] for a panel of up to 32 columns. Calls go
 * through `from` in order; the one that reaches a's end writes c.
 *
 *   tiles    of a, as amx_split makes them, of rows that are multiples of 16
 *   panel    the columns of b as rows, [columns][depth], from a multiple of 32 on
 *   scratch  room for a panel's tiles
 *   sums     room for [rows / 32][32][32] from call to call: rows of c would all fall to the same part of the cache
 */
void amx_product(const u8 *tiles, i64 rows, i64 columns_of_a, i64 from, i64 depth, const float *panel, float *c,
        i64 stride, i64 columns, u8 *scratch, float *sums) {
    i64 a_rows = (columns_of_a + 31) / 32 * PARTS * TILE_BYTES;
    configure();
    for (i64 k = 0; k < depth; k += DEPTH) {
        i64 some = depth - k < DEPTH ? depth - k : DEPTH;
        int parts = split_panel(panel + k, columns, depth, some, scratch);
        for (i64 row = 0; row < rows; row += 32) {
            const u8 *a = tiles + row / 16 * a_rows + (from + k) / 32 * PARTS * TILE_BYTES;
            i64 next = row + 16 < rows ? a_rows : 0;
            square(a, next, scratch, (some + 31) / 32, parts, from + k == 0, sums + row * PANEL);
        }
    }
    _tile_release();
    for (i64 row = 0; row < rows && from + depth == columns_of_a; row++) {
        for (i64 i = 0; i < columns; i += 16) {
            __mmask16 mask = columns - i >= 16 ? 0xffff : (1u << (columns - i)) - 1;
            _mm512_mask_storeu_ps(c + row * stride + i, mask, _mm512_load_ps(sums + row * PANEL + i));
        }
    }
}
