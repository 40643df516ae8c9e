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

/* GPTQ of 8 bits: a word of four inputs of each output. They are taken less 128: bytes with signs. */
INLINE void put_bytes(const panel_tiles *to, i64 line, const u8 *at, i64 bytes) {
    UNROLL
    for (int part = 0; part < 4; part++) {
        u8x16 a = load_bytes(at + 32 * part, bytes - 32 * part);
        u8x16 b = load_bytes(at + 32 * part + 16, bytes - 32 * part - 16);
        put_columns(to, line, part, (u32x8)(join(a, b) ^ 128));
    }
}

INLINE int is_by_columns(i64 type) { return type == CODES_AWQ || type == CODES_GPTQ || type == BYTES_GPTQ; }

/* Whether a type is one of codes whose zeros are not the least that tiles hold. */
INLINE int codes_have_minima(i64 type, const u8 *weights) {
    return type >= CODES_AWQ && (type < BYTES_GPTQ || ((const matrix *)weights)->zeros);
}

/* Where the code of each of eight outputs stands in a word of zeros, or in two of 8 bits, in bits. */
static const u32x8 AWQ_PLACES = {0, 16, 4, 20, 8, 24, 12, 28};
static const u32x8 PLACES = {0, 4, 8, 12, 16, 20, 24, 28};
static const u32x8 BYTE_PLACES = {0, 8, 16, 24, 0, 8, 16, 24};

/* Zeros of outputs n to n + 7 of a group; those of 8 bits less 128, where behind the last output any may stand. */
INLINE f32x8 zeros_of(i64 type, const matrix *m, i64 g, i64 n, i64 count) {
    i64 at = g * m->outputs + n;
    if (!m->zeros) {
        return (f32x8){} + (type == BYTES_GPTQ ? 0.0f : 8.0f);
    }
    if (type == BYTES_GPTQ) {
        u32 low = LOAD(u32, m->zeros + at) + m->less_one;
        u32 high = count > 4 ? LOAD(u32, m->zeros + at + 4) + m->less_one : 0;
        u32x8 both = {low, low, low, low, high, high, high, high};
        return CONVERT(f32x8, (i32x8)(both >> BYTE_PLACES & 255) - 128);
    }
    u32 word = LOAD(u32, m->zeros + at / 8 * 4) + m->less_one;
    return CONVERT(f32x8, (i32x8)(((u32x8){} + word) >> (type == CODES_AWQ ? AWQ_PLACES : PLACES) & 15));
}

/* A group's scales, and its zeros times these, of outputs first to first + count - 1; zeros behind them. */
INLINE void put_group(const panel_tiles *to, i64 at, i64 type, const matrix *m, i64 g, i64 first, i64 count) {
    typedef VECTOR(f16, 16) f16x8;
    for (i64 n = 0; n < PANEL; n += 8) {
        f32x8 scales = {}, minima = {};
        if (n < count) {
            /* Outputs come in whole words: eight, or four of 8 bits. */
            u8x16 halves = load_bytes(m->scales + 2 * (g * m->outputs + first + n), 2 * (count - n));
            scales = CONVERT(f32x8, (f16x8)halves);
            minima = scales * zeros_of(type, m, g, first + n, count - n);
        }
        STORE(to->scales[at] + n, scales);
        STORE(to->minima[at] + n, minima);
    }
}

/* Some columns of codes by columns, from column k on. */
INLINE void put_codes(const panel_tiles *to, i64 type, const matrix *m, i64 first, i64 count, i64 k, i64 some) {
    const i64 row = type == CODES_AWQ ? m->outputs / 2 : 4 * m->outputs;
    const i64 bytes = type == CODES_AWQ ? count / 2 : 4 * count;
    const i64 ahead = k + some < m->groups * m->size ? DEPTH : 0;
    for (i64 i = 0; i < some; i += 32) {
        put_group(to, i / 32, type, m, (k + i) / m->size, first, count);
        if (type == CODES_AWQ) {
            for (i64 j = i; j < i + 32; j += 4) {
                const u8 *at = m->codes + (k + j) * row + first / 2;
                put_awq(to, j / 4, at, row, bytes);
                for (i64 l = 0; l < 4; l++) {
                    FETCH(at + (ahead + l) * row);
                }
            }
            continue;
        }
        const i64 per = type == CODES_GPTQ ? 8 : 4;
        for (i64 j = i; j < i + 32; j += per) {
            const u8 *at = m->codes + (k + j) / per * row + 4 * first;
            if (type == CODES_GPTQ) {
                put_gptq(to, j / 4, at, bytes);
            } else {
                put_bytes(to, j / 4, at, bytes);
            }
            FETCH(at + ahead / per * row);
            FETCH(at + ahead / per * row + 64);
        }
    }
}

/* Some columns of a row of codes by rows, spread out. */
INLINE void spread_codes(i64 type, const matrix *m, i64 row, i64 k, i64 some, const activations *to) {
    const i64 bytes = type == BYTES_BY_ROWS ? 32 : 16; /* of 32 columns */
    const u8 *codes = m->codes + (row * m->groups * m->size + k) / 32 * bytes;
    for (i64 line = 0; line < DEPTH / 32 * bytes; line += 64) {
        FETCH(codes + DEPTH / 32 * bytes + line);
    }
    for (i64 i = 0; i < some; i += 32, codes += bytes) {
        i64 g = (k + i) / m->size;
        if (type == BYTES_BY_ROWS) {
            to->scales[i / 32] = code_scale(8, m, row, g, to->minima + i / 32);
            STORE(to->codes + i, LOAD(u8x32, codes) ^ 128);
        } else {
            to->scales[i / 32] = code_scale(4, m, row, g, to->minima + i / 32);
            u8x16 q = LOAD(u8x16, codes);
            STORE(to->codes + i, zip_bytes(q & 15, q >> 4, 0));
            STORE(to->codes + i + 16, zip_bytes(q & 15, q >> 4, 1));
        }
    }
}
