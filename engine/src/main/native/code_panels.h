/*
 * Codes of AWQ, GPTQ and compressed-tensors as the tiles of a panel: what spread.h does for blocks. Scales and zeros of
 * a group serve each 32 of its columns.
 */
#include <immintrin.h>

/* Where a panel's tiles go; a line has four columns of sixteen outputs or more. */
typedef struct {
    u8 *tiles;
    i64 line;   /* bytes from four columns to the next four */
    i64 second; /* bytes to the second sixteen outputs of the same columns */
    float (*scales)[PANEL];
    float (*minima)[PANEL];
} panel_tiles;

/* Four columns of outputs 8 part to 8 part + 7. */
INLINE void put_columns(const panel_tiles *to, i64 line, i64 part, u32x8 codes) {
    STORE(to->tiles + line * to->line + part / 2 * to->second + part % 2 * 32, codes);
}

/* Some bytes and zeros behind them. */
INLINE u8x16 load_bytes(const u8 *at, i64 count) {
    if (__builtin_expect(count >= 16, 1)) {
        return LOAD(u8x16, at);
    }
    u8x16 v = {};
    for (i64 i = 0; i < count; i++) {
        v[i] = at[i];
    }
    return v;
}

/* Bytes of two vectors by turns, or pairs of bytes: the first halves, or the second ones. */
INLINE u8x16 zip_bytes(u8x16 a, u8x16 b, int second) {
    return (u8x16)(second ? _mm_unpackhi_epi8((__m128i)a, (__m128i)b) : _mm_unpacklo_epi8((__m128i)a, (__m128i)b));
}
INLINE u8x16 zip_pairs(u8x16 a, u8x16 b, int second) {
    return (u8x16)(second ? _mm_unpackhi_epi16((__m128i)a, (__m128i)b) : _mm_unpacklo_epi16((__m128i)a, (__m128i)b));
}

typedef VECTOR(u32, 16) u32x4;

/* AWQ: four words of each of four inputs, whose bytes become those of an output. */
INLINE void put_awq(const panel_tiles *to, i64 line, const u8 *at, i64 row, i64 bytes) {
    u8x16 a = load_bytes(at, bytes), b = load_bytes(at + row, bytes);
    u8x16 c = load_bytes(at + 2 * row, bytes), d = load_bytes(at + 3 * row, bytes);
    UNROLL
    for (int word = 0; word < 4; word++) {
        u8x16 first = zip_bytes(a, b, word / 2), second = zip_bytes(c, d, word / 2);
        u8x16 all = zip_pairs(first, second, word % 2);
        /* Outputs 0, 4, 1, 5 and 2, 6, 3, 7 of the word. */
        u32x4 low = (u32x4)(all & 15), high = (u32x4)(all >> 4);
        put_columns(to, line, word, __builtin_shufflevector(low, high, 0, 2, 4, 6, 1, 3, 5, 7));
    }
}

/* GPTQ: a word of eight inputs of each output. */
INLINE void put_gptq(const panel_tiles *to, i64 line, const u8 *at, i64 bytes) {
    UNROLL
    for (int part = 0; part < 4; part++) {
        u32x4 v[4];
        UNROLL
        for (int i = 0; i < 4; i++) {
            i64 from = 32 * part + i / 2 * 16;
            u8x16 q = load_bytes(at + from, bytes - from);
            v[i] = (u32x4)zip_bytes(q & 15, q >> 4, i % 2);
        }
        u32x8 first = __builtin_shufflevector(v[0], v[1], 0, 1, 2, 3, 4, 5, 6, 7);
        u32x8 second = __builtin_shufflevector(v[2], v[3], 0, 1, 2, 3, 4, 5, 6, 7);
        put_columns(to, line, part, __builtin_shufflevector(first, second, 0, 2, 4, 6, 8, 10, 12, 14));
        put_columns(to, line + 1, part, __builtin_shufflevector(first, second, 1, 3, 5, 7, 9, 11, 13, 15));
    }
}

/* Where the code of output o of AWQ's eight stands, in bits. */
static const u32x8 AWQ_PLACES = {0, 16, 4, 20, 8, 24, 12, 28};
static const u32x8 PLACES = {0, 4, 8, 12, 16, 20, 24, 28};

/* A group's scales, and its zeros times these, of outputs first to first + count - 1; zeros behind them. */
INLINE void put_group(const panel_tiles *to, i64 at, int awq, const matrix *m, i64 g, i64 first, i64 count) {
    typedef VECTOR(f16, 16) f16x8;
    for (i64 n = 0; n < PANEL; n += 8) {
        f32x8 scales = {}, zeros = (f32x8){} + 8;
        if (n < count) {
            /* Outputs come in whole words of eight. */
            scales = CONVERT(f32x8, LOAD(f16x8, m->scales + 2 * (g * m->outputs + first + n)));
            if (m->zeros) {
                u32 word = LOAD(u32, m->zeros + (g * m->outputs + first + n) / 8 * 4) + m->less_one;
                zeros = CONVERT(f32x8, (i32x8)(((u32x8){} + word) >> (awq ? AWQ_PLACES : PLACES) & 15));
            }
        }
        STORE(to->scales[at] + n, scales);
        STORE(to->minima[at] + n, scales * zeros);
    }
}

/* Some columns of codes by columns, from column k on. */
INLINE void put_codes(const panel_tiles *to, int awq, const matrix *m, i64 first, i64 count, i64 k, i64 some) {
    const i64 row = awq ? m->outputs / 2 : 4 * m->outputs, bytes = awq ? count / 2 : 4 * count;
    const i64 ahead = k + some < m->groups * m->size ? DEPTH : 0;
    for (i64 i = 0; i < some; i += 32) {
        i64 g = (k + i) / m->size;
        put_group(to, i / 32, awq, m, g, first, count);
        for (i64 j = i; j < i + 32; j += 8) {
            if (awq) {
                const u8 *at = m->codes + (k + j) * row + first / 2;
                put_awq(to, j / 4, at, row, bytes);
                put_awq(to, j / 4 + 1, at + 4 * row, row, bytes);
                for (i64 l = 0; l < 8; l++) {
                    FETCH(at + (ahead + l) * row);
                }
            } else {
                const u8 *at = m->codes + (k + j) / 8 * row + 4 * first;
                put_gptq(to, j / 4, at, bytes);
                FETCH(at + ahead / 8 * row);
                FETCH(at + ahead / 8 * row + 64);
            }
        }
    }
}

/* Some columns of a row of codes by rows, spread out. */
INLINE void spread_codes(const matrix *m, i64 row, i64 k, i64 some, const activations *to) {
    const u8 *codes = m->codes + row * (m->groups * m->size / 2) + k / 2;
    FETCH(codes + DEPTH / 2);
    FETCH(codes + DEPTH / 2 + 64);
    for (i64 i = 0; i < some; i += 32) {
        to->scales[i / 32] = code_scale(m, row, (k + i) / m->size, to->minima + i / 32);
        u8x16 q = LOAD(u8x16, codes + i / 2);
        STORE(to->codes + i, zip_bytes(q & 15, q >> 4, 0));
        STORE(to->codes + i + 16, zip_bytes(q & 15, q >> 4, 1));
    }
}
