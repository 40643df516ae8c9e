/*
 * Activations in bytes, multiplied 64 at a time: AVX-512 with VNNI and VBMI. int8.h says what the products are; here
 * a row of activations lies in one of three orders, so that each of a kernel's loads is whole.
 */
#include "matrix.h"
#include "scales.h"

/*
 * Orders of 256 bytes; zeros fill the last ones up. In all, scale and sum are of each 32 in their natural order.
 *
 *   BY_HALVES  the first halves of four blocks of 32, then their second ones; then four more
 *              (PAIRS_BY_HALVES: the even ones of each 32 are its first half, the odd ones the second)
 *   NATURAL    as they are
 *   BY_PAIRS   blocks 0 and 2, 1 and 3, 4 and 6, 5 and 7
 */
/* Prepared rows, of which the first begins here; what is spread has the lanes of a kernel's sums. */
typedef struct {
    const i8 *values;
    const i32 *sums;           /* of each lane's bytes: times -8 (BY_HALVES), times -32 (NATURAL) */
    const float *scales;       /* of each 32 */
    const float *block_sums;   /* of what each 32 stand for */
    const float *spread;       /* scales: four times each (BY_HALVES), eight times (NATURAL) */
    const float *spread_sums;  /* a quarter of block_sums, four times each (BY_HALVES) */
    i64 stride;                /* bytes from one row to the next */
} wide_row;

/* Rows of activations whose sums stay in registers together: each load of weights serves all of them. */
#define WIDE_TOGETHER 4

/* Where the same stands in row t. */
#define OF(t, at) ((__typeof__(at))((const u8 *)(at) + (t) * x->stride))

INLINE wide_row wide_at(const float *x, i64 columns, i64 stride) {
    i64 n = whole256(columns);
    const float *sums = x + n / 4, *scales = sums + n / 4;
    const float *spread = scales + n / 16;
    return (wide_row){(const i8 *)x, (const i32 *)sums, scales, scales + n / 32, spread, spread + n / 8,
            4 * stride};
}

typedef struct {
    __m512 products[2];
    __m512 minima;
} wide_sums;

#define LOAD512(at) _mm512_loadu_si512(at)
#define LOAD128(at) _mm_loadu_si128((const __m128i *)(at))
#define LOAD256(at) _mm256_loadu_si256((const __m256i *)(at))
#define LOW_NIBBLE _mm512_set1_epi8(15)

INLINE float wide_total(const wide_sums *s) {
    return sum16((f32x16)_mm512_add_ps(s->products[0], s->products[1])) - sum16((f32x16)s->minima);
}

INLINE void wide_add(wide_sums *s, __m512i dots, __m512 factors, int turn) {
    s->products[turn] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), factors, s->products[turn]);
}

/* Words at some bytes of the first 64 of some blocks, each as often as its block has lanes. */
#define SPREAD4(at, bytes)                                                                                             \
    _mm256_setr_epi16(PLACE(at), PLACE(at), PLACE(at), PLACE(at), PLACE(at + bytes), PLACE(at + bytes),                \
            PLACE(at + bytes), PLACE(at + bytes), PLACE(at + 2 * bytes), PLACE(at + 2 * bytes), PLACE(at + 2 * bytes), \
            PLACE(at + 2 * bytes), PLACE(at + 3 * bytes), PLACE(at + 3 * bytes), PLACE(at + 3 * bytes),                \
            PLACE(at + 3 * bytes))
#define SPREAD8(at, bytes)                                                                                             \
    _mm256_setr_epi16(PLACE(at), PLACE(at), PLACE(at), PLACE(at), PLACE(at), PLACE(at), PLACE(at), PLACE(at),          \
            PLACE(at + bytes), PLACE(at + bytes), PLACE(at + bytes), PLACE(at + bytes), PLACE(at + bytes),             \
            PLACE(at + bytes), PLACE(at + bytes), PLACE(at + bytes))
#define PLACE(at) (short)((at) | ((at) + 1) << 8)

INLINE __m512 spread_halves(__m512i bytes, __m256i places) {
    __m512i words = _mm512_permutexvar_epi8(_mm512_castsi256_si512(places), bytes);
    return _mm512_cvtph_ps(_mm512_castsi512_si256(words));
}

/*
 * The first bytes of up to four blocks, zeros behind them. The compiler must not see that loads of nibbles see the same
 * bytes: it would make them of these, by several shuffles each.
 */
INLINE __m512i heads(const u8 *b, i64 bytes, i64 count) {
    __asm__("" : "+r"(b));
    return bytes * count >= 64 ? LOAD512(b) : _mm512_maskz_loadu_epi8((1ull << bytes * count) - 1, b);
}

/* Sixteen bytes of each of up to four blocks. */
INLINE __m512i lanes(const u8 *b, i64 bytes, i64 count) {
    __m512i q = _mm512_castsi128_si512(LOAD128(b));
    if (count > 3) {
        q = _mm512_inserti32x4(q, LOAD128(b + 3 * bytes), 3);
    }
    if (count > 2) {
        q = _mm512_inserti32x4(q, LOAD128(b + 2 * bytes), 2);
    }
    return count > 1 ? _mm512_inserti32x4(q, LOAD128(b + bytes), 1) : q;
}

/* Up to four blocks of 32 nibbles, from block `at` of the row on; `times` the sums of activations are added. */
INLINE void wide_nibbles(wide_sums *s, const wide_row *x, int rows, i64 at, __m512i low, __m512i high, int times,
        __m512 scale, int turn) {
    UNROLL
    for (int t = 0; t < rows; t++) {
        const i8 *values = OF(t, x->values + 32 * at);
        __m512i sum = times ? LOAD512(OF(t, x->sums + 4 * at)) : _mm512_setzero_si512();
        __m512i dots = _mm512_dpbusd_epi32(times == 16 ? _mm512_slli_epi32(sum, 4) : sum, low, LOAD512(values));
        dots = _mm512_dpbusd_epi32(dots, high, LOAD512(values + 64));
        wide_add(s + t, dots, _mm512_mul_ps(scale, _mm512_loadu_ps(OF(t, x->spread + 4 * at))), turn);
    }
}

/* Minima of four blocks, four times each, times the sums of their activations. */
INLINE void add_minima(wide_sums *s, const wide_row *x, int rows, i64 at, __m512 minima) {
    UNROLL
    for (int t = 0; t < rows; t++) {
        s[t].minima = _mm512_fmadd_ps(minima, _mm512_loadu_ps(OF(t, x->spread_sums + 4 * at)), s[t].minima);
    }
}

INLINE __m512i low_nibbles(__m512i q) { return _mm512_and_si512(q, LOW_NIBBLE); }
INLINE __m512i high_nibbles(__m512i q) { return _mm512_and_si512(_mm512_srli_epi16(q, 4), LOW_NIBBLE); }

INLINE void wide_Q4_0(wide_sums *s, const wide_row *x, int rows, i64 at, const u8 *b, i64 count, int turn) {
    __m512 scale = spread_halves(heads(b, 18, count), SPREAD4(0, 18));
    __m512i q = lanes(b + 2, 18, count);
    wide_nibbles(s, x, rows, at, low_nibbles(q), high_nibbles(q), 1, scale, turn);
}

INLINE void wide_Q4_1(wide_sums *s, const wide_row *x, int rows, i64 at, const u8 *b, i64 count, int turn) {
    __m512i head = heads(b, 20, count);
    add_minima(s, x, rows, at, _mm512_sub_ps(_mm512_setzero_ps(), spread_halves(head, SPREAD4(2, 20))));
    __m512i q = lanes(b + 4, 20, count);
    __m512 scale = spread_halves(head, SPREAD4(0, 20));
    wide_nibbles(s, x, rows, at, low_nibbles(q), high_nibbles(q), 0, scale, turn);
}

/* The values that nibbles stand for, plus 128: sums of 128 times the activations go off again. */
INLINE void wide_looked_up(wide_sums *s, const wide_row *x, int rows, i64 at, __m512i q, i8x16 values, __m512 scale,
        int turn) {
    __m512i table = _mm512_xor_si512(_mm512_broadcast_i32x4((__m128i)values), _mm512_set1_epi8(-128));
    __m512i low = _mm512_shuffle_epi8(table, low_nibbles(q)), high = _mm512_shuffle_epi8(table, high_nibbles(q));
    wide_nibbles(s, x, rows, at, low, high, 16, scale, turn);
}

INLINE void wide_IQ4_NL(wide_sums *s, const wide_row *x, int rows, i64 at, const u8 *b, i64 count, int turn) {
    __m512 scale = spread_halves(heads(b, 18, count), SPREAD4(0, 18));
    wide_looked_up(s, x, rows, at, lanes(b + 2, 18, count), IQ4, scale, turn);
}

INLINE void wide_MXFP4(wide_sums *s, const wide_row *x, int rows, i64 at, const u8 *b, i64 count, int turn) {
    __m512i places = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    __m512 powers = _mm512_castps256_ps512((__m256)halves_of_powers(b, 17, count));
    wide_looked_up(s, x, rows, at, lanes(b + 1, 17, count), E2M1, _mm512_permutexvar_ps(places, powers), turn);
}

/* Two blocks of Q8_0, or one. */
INLINE void wide_Q8_0(wide_sums *s, const wide_row *x, int rows, i64 at, const u8 *b, i64 count, int turn) {
    __m512 scale = spread_halves(heads(b, 34, count), SPREAD8(0, 34));
    __m512i q = _mm512_castsi256_si512(LOAD256(b + 2));
    if (count > 1) {
        q = _mm512_inserti64x4(q, LOAD256(b + 36), 1);
    }
    q = _mm512_xor_si512(q, _mm512_set1_epi8(-128));
    UNROLL
    for (int t = 0; t < rows; t++) {
        __m512i sum = _mm512_slli_epi32(LOAD512(OF(t, x->sums + 8 * at)), 2);
        __m512i dots = _mm512_dpbusd_epi32(sum, q, LOAD512(OF(t, x->values + 32 * at)));
        wide_add(s + t, dots, _mm512_mul_ps(scale, _mm512_loadu_ps(OF(t, x->spread + 8 * at))), turn);
    }
}

/* Lanes of two groups of eight, or of four groups of four. */
INLINE __m512 spread2(__m512 factors, int a, int b) {
    return _mm512_permutexvar_ps(_mm512_setr_epi32(a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b), factors);
}
INLINE __m512 spread4(__m512 factors, int a) {
    __m512i places = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    return _mm512_permutexvar_ps(_mm512_add_epi32(places, _mm512_set1_epi32(a)), factors);
}

/* 256 weights of eight groups of 32, which q holds as their order BY_PAIRS is. */
INLINE void wide_groups(wide_sums *s, const wide_row *x, int rows, i64 at, const __m512i q[4], const u8 *b) {
    f32x8 scales, minima = scales_Q45_K(b, &scales);
    UNROLL
    for (int t = 0; t < rows; t++) {
        __m512 m = _mm512_zextps256_ps512((__m256)(minima * LOAD(f32x8, OF(t, x->block_sums + at))));
        s[t].minima = _mm512_add_ps(s[t].minima, m);
        f32x8 both = scales * LOAD(f32x8, OF(t, x->scales + at));
        __m512 factors = _mm512_castps256_ps512((__m256)both);
        UNROLL
        for (int i = 0; i < 4; i++) {
            const i8 *values = OF(t, x->values + 32 * at + 64 * i);
            int group = 4 * (i / 2) + i % 2;
            __m512i dots = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q[i], LOAD512(values));
            wide_add(s + t, dots, spread2(factors, group, group + 2), i % 2);
        }
    }
}

INLINE void wide_Q4_K(wide_sums *s, const wide_row *x, int rows, i64 at, const u8 *b, i64 count, int turn) {
    __m512i first = LOAD512(b + 16), second = LOAD512(b + 80);
    __m512i q[4] = {low_nibbles(first), high_nibbles(first), low_nibbles(second), high_nibbles(second)};
    wide_groups(s, x, rows, at, q, b);
}

/* Nibbles with the fifth bits of others. */
INLINE __m512i five(__m512i nibbles, __m512i bits) {
    /* nibbles | (bits & 16) */
    return _mm512_ternarylogic_epi64(nibbles, bits, _mm512_set1_epi8(16), 0xf8);
}

/* Bit i of each byte of a group's 32 is the fifth of the same place of group i. */
INLINE void wide_Q5_K(wide_sums *s, const wide_row *x, int rows, i64 at, const u8 *b, i64 count, int turn) {
    __m512i bits = _mm512_broadcast_i64x4(LOAD256(b + 16));
    __m512i left2 = _mm512_inserti64x4(_mm512_set1_epi16(2), _mm256_setzero_si256(), 1);
    __m512i right2 = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(2), 1);
    __m512i first = LOAD512(b + 48), second = LOAD512(b + 112);
    __m512i q[4] = {
        five(low_nibbles(first), _mm512_sllv_epi16(_mm512_slli_epi16(bits, 2), left2)),
        five(high_nibbles(first), _mm512_sllv_epi16(_mm512_slli_epi16(bits, 1), left2)),
        five(low_nibbles(second), _mm512_srlv_epi16(bits, right2)),
        five(high_nibbles(second), _mm512_srlv_epi16(_mm512_srli_epi16(bits, 1), right2)),
    };
    wide_groups(s, x, rows, at, q, b);
}

INLINE void wide_Q6_K(wide_sums *s, const wide_row *x, int rows, i64 at, const u8 *b, i64 count, int turn) {
    const __m512i upper = _mm512_set1_epi8(48);
    __m512 scales = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(LOAD128(b + 192))),
            _mm512_set1_ps(half(b + 208)));
    __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    __m512i left = _mm512_inserti64x4(_mm512_set1_epi16(4), _mm256_set1_epi16(2), 1);
    __m512i right = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(2), 1);
    __m512i codes[4];
    UNROLL
    for (int h = 0; h < 2; h++) {
        __m512i q = LOAD512(b + 64 * h), bits = _mm512_broadcast_i64x4(LOAD256(b + 128 + 32 * h));
        /* nibbles | (bits & 48) */
        codes[2 * h] = _mm512_ternarylogic_epi64(low_nibbles(q), _mm512_sllv_epi16(bits, left), upper, 0xf8);
        codes[2 * h + 1] = _mm512_ternarylogic_epi64(high_nibbles(q), _mm512_srlv_epi16(bits, right), upper, 0xf8);
    }
    UNROLL
    for (int t = 0; t < rows; t++) {
        __m512 activations = _mm512_castps256_ps512(_mm256_loadu_ps(OF(t, x->scales + at)));
        __m512 factors = _mm512_mul_ps(scales, _mm512_permutexvar_ps(twice, activations));
        UNROLL
        for (int i = 0; i < 4; i++) {
            __m512i sums = LOAD512(OF(t, x->sums + 8 * at + 16 * i));
            __m512i dots = _mm512_dpbusd_epi32(sums, codes[i], LOAD512(OF(t, x->values + 32 * at + 64 * i)));
            wide_add(s + t, dots, spread4(factors, 4 * i), i % 2);
        }
    }
}

/* Four bytes to a lane. */
INLINE __m128i lane_sums(i8x16 bytes) {
    return _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8(1), (__m128i)bytes);
}

#define STORE128(at, value) _mm_storeu_si128((__m128i *)(at), (value))

/* Prepares activations in one of the orders. */
static void wide_prepare(i64 order, i64 columns, const float *x, float *to) {
    wide_row row = wide_at(to, columns, 0);
    float *scales = (float *)row.scales, *block_sums = (float *)row.block_sums, *spread = (float *)row.spread;
    for (i64 k = 0; k < whole256(columns); k += 32) {
        quantized q = {};
        if (k < columns) {
            q = quantize(x + k, order == PAIRS_BY_HALVES);
        }
        scales[k / 32] = q.scale;
        block_sums[k / 32] = q.first_sum + q.second_sum;
        i8 *values = (i8 *)row.values + k, *second = values + 16;
        i32 *sums = (i32 *)row.sums;
        if (order == BY_HALVES || order == PAIRS_BY_HALVES) {
            values = (i8 *)row.values + k / 128 * 128 + k % 128 / 2;
            second = values + 64;
            __m128i both = _mm_add_epi32(lane_sums(q.first), lane_sums(q.second));
            STORE128(sums + k / 8, _mm_sub_epi32(_mm_setzero_si128(), _mm_slli_epi32(both, 3)));
            _mm_storeu_ps(spread + k / 8, _mm_set1_ps(q.scale));
            _mm_storeu_ps((float *)row.spread_sums + k / 8, _mm_set1_ps(0.25f * block_sums[k / 32]));
        } else if (order == NATURAL) {
            __m128i none = _mm_setzero_si128();
            STORE128(sums + k / 4, _mm_sub_epi32(none, _mm_slli_epi32(lane_sums(q.first), 5)));
            STORE128(sums + k / 4 + 4, _mm_sub_epi32(none, _mm_slli_epi32(lane_sums(q.second), 5)));
            _mm256_storeu_ps(spread + k / 4, _mm256_set1_ps(q.scale));
        } else {
            /* Group 2 changes places with 1, and 6 with 5. */
            i64 group = k / 32 % 4;
            values += group == 1 ? 32 : group == 2 ? -32 : 0;
            second = values + 16;
        }
        STORE128(values, (__m128i)q.first);
        STORE128(second, (__m128i)q.second);
    }
}

/* A row of blocks, `some` of them at a time, by some rows of activations. */
#define WIDE_ROWS(type, elements, bytes, some)                                                                         \
    INLINE void wide_row_##type(const u8 *b, i64 columns, const float *x, i64 stride, int rows, float *out,            \
            i64 outputs) {                                                                                             \
        const i64 blocks = columns / elements;                                                                         \
        wide_row a = wide_at(x, columns, stride);                                                                      \
        wide_sums s[WIDE_TOGETHER] = {};                                                                               \
        i64 at = 0;                                                                                                    \
        for (; at + 256 / elements <= blocks; at += 256 / elements) {                                                  \
            STREAM(b, 256 / elements * bytes);                                                                         \
            for (int j = 0; j < 256 / elements; j += some, b += some * bytes) {                                        \
                wide_##type(s, &a, rows, (at + j) * (elements / 32), b, some, j / some & 1);                           \
            }                                                                                                          \
        }                                                                                                              \
        for (; at < blocks; at += some, b += some * bytes) {                                                           \
            i64 count = blocks - at;                                                                                   \
            if (some == 1 || count >= some) {                                                                          \
                wide_##type(s, &a, rows, at * (elements / 32), b, some, 0);                                            \
            } else {                                                                                                   \
                wide_##type(s, &a, rows, at * (elements / 32), b, count, 1);                                           \
            }                                                                                                          \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int t = 0; t < rows; t++) {                                                                               \
            out[t * outputs] = wide_total(s + t);                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    static void wide_rows_##type(const range *r, const float *x, float *out) {                                         \
        for (i64 row = r->first; row < r->end; row++) {                                                                \
            const u8 *b = r->weights + stored_row(row, r->head) * (r->columns / elements * bytes);                     \
            i64 i = 0;                                                                                                 \
            for (; i + WIDE_TOGETHER <= r->rows; i += WIDE_TOGETHER) {                                                 \
                wide_row_##type(b, r->columns, x + i * r->stride, r->stride, WIDE_TOGETHER, out + i * r->outputs + row,\
                        r->outputs);                                                                                   \
            }                                                                                                          \
            for (; i + 2 <= r->rows; i += 2) {                                                                         \
                wide_row_##type(b, r->columns, x + i * r->stride, r->stride, 2, out + i * r->outputs + row,            \
                        r->outputs);                                                                                   \
            }                                                                                                          \
            if (i < r->rows) {                                                                                         \
                wide_row_##type(b, r->columns, x + i * r->stride, r->stride, 1, out + i * r->outputs + row,            \
                        r->outputs);                                                                                   \
            }                                                                                                          \
        }                                                                                                              \
    }

WIDE_ROWS(Q4_0, 32, 18, 4)
WIDE_ROWS(Q4_1, 32, 20, 4)
WIDE_ROWS(IQ4_NL, 32, 18, 4)
WIDE_ROWS(MXFP4, 32, 17, 4)
WIDE_ROWS(Q8_0, 32, 34, 2)
WIDE_ROWS(Q4_K, 256, 144, 1)
WIDE_ROWS(Q5_K, 256, 176, 1)
WIDE_ROWS(Q6_K, 256, 210, 1)

/* Up to 128 columns of codes by rows: the low nibble of byte j is the code of column 2j. */
INLINE void wide_codes(wide_sums *s, const wide_row *x, int rows, i64 k, __m512i q, __m512 scale, __m512 minimum) {
    add_minima(s, x, rows, k / 32, minimum);
    wide_nibbles(s, x, rows, k / 32, low_nibbles(q), high_nibbles(q), 0, scale, k / 128 & 1);
}

/* A row of such codes, whose groups are whole 32 columns. */
INLINE void wide_code_row(const matrix *m, i64 row, const float *x, i64 stride, int rows, float *out, i64 outputs) {
    const i64 columns = m->groups * m->size;
    const u8 *codes = m->codes + row * (columns / 2);
    wide_row a = wide_at(x, columns, stride);
    wide_sums s[WIDE_TOGETHER] = {};
    i64 k = 0;
    for (i64 g = 0; m->size % 128 == 0 && g < m->groups; g++) {
        float least;
        __m512 scale = _mm512_set1_ps(code_scale(4, m, row, g, &least)), minimum = _mm512_set1_ps(least);
        for (i64 end = k + m->size; k < end; k += 128) {
            STREAM(codes + k / 2, 64);
            wide_codes(s, &a, rows, k, LOAD512(codes + k / 2), scale, minimum);
        }
    }
    for (i64 g = 0, left = m->size; k < columns; k += 128) {
        i64 blocks = columns - k < 128 ? (columns - k) / 32 : 4;
        float scales[16] = {}, minima[16] = {};
        for (i64 i = 0; i < blocks; i++) {
            scales[i] = code_scale(4, m, row, g, minima + i);
            left -= 32;
            g += left == 0;
            left = left ? left : m->size;
        }
        STREAM(codes + k / 2, 64);
        __m512i q = _mm512_maskz_loadu_epi32((__mmask16)((1u << 4 * blocks) - 1), codes + k / 2);
        __m512 minimum = spread4(_mm512_loadu_ps(minima), 0);
        wide_codes(s, &a, rows, k, q, spread4(_mm512_loadu_ps(scales), 0), minimum);
    }
    UNROLL
    for (int t = 0; t < rows; t++) {
        out[t * outputs] = wide_total(s + t);
    }
}
