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
 *   NATURAL    as they are
 *   BY_PAIRS   blocks 0 and 2, 1 and 3, 4 and 6, 5 and 7
 */
/* A prepared row; what is spread has the lanes of a kernel's sums. */
typedef struct {
    const i8 *values;
    const i32 *sums;           /* of each lane's bytes: times -8 (BY_HALVES), times -32 (NATURAL) */
    const float *scales;       /* of each 32 */
    const float *block_sums;   /* of what each 32 stand for */
    const float *spread;       /* scales: four times each (BY_HALVES), eight times (NATURAL) */
    const float *spread_sums;  /* a quarter of block_sums, four times each (BY_HALVES) */
} wide_row;

INLINE wide_row wide_at(const float *x, i64 columns) {
    i64 n = whole256(columns);
    const float *sums = x + n / 4, *scales = sums + n / 4;
    const float *spread = scales + n / 16;
    return (wide_row){(const i8 *)x, (const i32 *)sums, scales, scales + n / 32, spread, spread + n / 8};
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

/* Up to four blocks of 32 nibbles, from block `at` of the row on. */
INLINE void wide_nibbles(wide_sums *s, const wide_row *x, i64 at, __m512i q, __m512i sum, __m512 scale, int turn) {
    const i8 *values = x->values + 32 * at;
    __m512i dots = _mm512_dpbusd_epi32(sum, _mm512_and_si512(q, LOW_NIBBLE), LOAD512(values));
    __m512i high = _mm512_and_si512(_mm512_srli_epi16(q, 4), LOW_NIBBLE);
    dots = _mm512_dpbusd_epi32(dots, high, LOAD512(values + 64));
    wide_add(s, dots, _mm512_mul_ps(scale, _mm512_loadu_ps(x->spread + 4 * at)), turn);
}

INLINE void wide_Q4_0(wide_sums *s, const wide_row *x, i64 at, const u8 *b, i64 count, int turn) {
    __m512 scale = spread_halves(heads(b, 18, count), SPREAD4(0, 18));
    wide_nibbles(s, x, at, lanes(b + 2, 18, count), LOAD512(x->sums + 4 * at), scale, turn);
}

INLINE void wide_Q4_1(wide_sums *s, const wide_row *x, i64 at, const u8 *b, i64 count, int turn) {
    __m512i head = heads(b, 20, count);
    __m512 minimum = spread_halves(head, SPREAD4(2, 20));
    s->minima = _mm512_fnmadd_ps(minimum, _mm512_loadu_ps(x->spread_sums + 4 * at), s->minima);
    __m512i none = _mm512_setzero_si512();
    wide_nibbles(s, x, at, lanes(b + 4, 20, count), none, spread_halves(head, SPREAD4(0, 20)), turn);
}

/* The values that nibbles stand for, plus 128: sums of 128 times the activations go off again. */
INLINE void wide_IQ4_NL(wide_sums *s, const wide_row *x, i64 at, const u8 *b, i64 count, int turn) {
    const i8 *values = x->values + 32 * at;
    __m512i q = lanes(b + 2, 18, count);
    __m512i table = _mm512_xor_si512(_mm512_broadcast_i32x4((__m128i)IQ4), _mm512_set1_epi8(-128));
    __m512i low = _mm512_shuffle_epi8(table, _mm512_and_si512(q, LOW_NIBBLE));
    __m512i high = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(q, 4), LOW_NIBBLE));
    __m512i dots = _mm512_dpbusd_epi32(_mm512_slli_epi32(LOAD512(x->sums + 4 * at), 4), low, LOAD512(values));
    dots = _mm512_dpbusd_epi32(dots, high, LOAD512(values + 64));
    __m512 scale = spread_halves(heads(b, 18, count), SPREAD4(0, 18));
    wide_add(s, dots, _mm512_mul_ps(scale, _mm512_loadu_ps(x->spread + 4 * at)), turn);
}

/* Two blocks of Q8_0, or one. */
INLINE void wide_Q8_0(wide_sums *s, const wide_row *x, i64 at, const u8 *b, i64 count, int turn) {
    __m512 scale = spread_halves(heads(b, 34, count), SPREAD8(0, 34));
    __m512i q = _mm512_castsi256_si512(LOAD256(b + 2));
    if (count > 1) {
        q = _mm512_inserti64x4(q, LOAD256(b + 36), 1);
    }
    q = _mm512_xor_si512(q, _mm512_set1_epi8(-128));
    __m512i sum = _mm512_slli_epi32(LOAD512(x->sums + 8 * at), 2);
    __m512i dots = _mm512_dpbusd_epi32(sum, q, LOAD512(x->values + 32 * at));
    wide_add(s, dots, _mm512_mul_ps(scale, _mm512_loadu_ps(x->spread + 8 * at)), turn);
}

/* Lanes of two groups of eight, or of four groups of four. */
INLINE __m512 spread2(__m512 factors, int a, int b) {
    return _mm512_permutexvar_ps(_mm512_setr_epi32(a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b), factors);
}
INLINE __m512 spread4(__m512 factors, int a) {
    __m512i places = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    return _mm512_permutexvar_ps(_mm512_add_epi32(places, _mm512_set1_epi32(a)), factors);
}

/* 128 weights of four groups of 32 as nibbles, whose fifth bits are in `low` and `high`. */
INLINE void wide_groups(wide_sums *s, const i8 *x, __m512i q, __m512i low, __m512i high, __m512 factors, int first) {
    const __m512i fifth = _mm512_set1_epi8(16);
    __m512i none = _mm512_setzero_si512();
    __m512i a = _mm512_and_si512(q, LOW_NIBBLE), b = _mm512_and_si512(_mm512_srli_epi16(q, 4), LOW_NIBBLE);
    /* a | (low & fifth) */
    a = _mm512_ternarylogic_epi64(a, low, fifth, 0xf8);
    b = _mm512_ternarylogic_epi64(b, high, fifth, 0xf8);
    wide_add(s, _mm512_dpbusd_epi32(none, a, LOAD512(x)), spread2(factors, first, first + 2), 0);
    wide_add(s, _mm512_dpbusd_epi32(none, b, LOAD512(x + 64)), spread2(factors, first + 1, first + 3), 1);
}

/* Scales and minima of a block's eight groups. */
INLINE __m512 wide_scales(wide_sums *s, const wide_row *x, i64 at, const u8 *b) {
    f32x8 scales, minima = scales_Q45_K(b, &scales);
    __m512 m = _mm512_zextps256_ps512((__m256)(minima * LOAD(f32x8, x->block_sums + at)));
    s->minima = _mm512_add_ps(s->minima, m);
    return _mm512_castps256_ps512((__m256)(scales * LOAD(f32x8, x->scales + at)));
}

INLINE void wide_Q4_K(wide_sums *s, const wide_row *x, i64 at, const u8 *b, i64 count, int turn) {
    __m512 factors = wide_scales(s, x, at, b);
    const i8 *values = x->values + 32 * at;
    __m512i none = _mm512_setzero_si512();
    wide_groups(s, values, LOAD512(b + 16), none, none, factors, 0);
    wide_groups(s, values + 128, LOAD512(b + 80), none, none, factors, 4);
}

/* Bit i of each byte of a group's 32 is the fifth of the same place of group i. */
INLINE void wide_Q5_K(wide_sums *s, const wide_row *x, i64 at, const u8 *b, i64 count, int turn) {
    __m512 factors = wide_scales(s, x, at, b);
    const i8 *values = x->values + 32 * at;
    __m512i bits = _mm512_broadcast_i64x4(LOAD256(b + 16));
    __m512i left2 = _mm512_inserti64x4(_mm512_set1_epi16(2), _mm256_setzero_si256(), 1);
    __m512i right2 = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(2), 1);
    __m512i low = _mm512_sllv_epi16(_mm512_slli_epi16(bits, 2), left2);
    __m512i high = _mm512_sllv_epi16(_mm512_slli_epi16(bits, 1), left2);
    wide_groups(s, values, LOAD512(b + 48), low, high, factors, 0);
    low = _mm512_srlv_epi16(bits, right2);
    high = _mm512_srlv_epi16(_mm512_srli_epi16(bits, 1), right2);
    wide_groups(s, values + 128, LOAD512(b + 112), low, high, factors, 4);
}

INLINE void wide_Q6_K(wide_sums *s, const wide_row *x, i64 at, const u8 *b, i64 count, int turn) {
    const __m512i upper = _mm512_set1_epi8(48);
    __m512 scales = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(LOAD128(b + 192))),
            _mm512_set1_ps(half(b + 208)));
    __m512 activations = _mm512_castps256_ps512(_mm256_loadu_ps(x->scales + at));
    __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    __m512 factors = _mm512_mul_ps(scales, _mm512_permutexvar_ps(twice, activations));
    __m512i left = _mm512_inserti64x4(_mm512_set1_epi16(4), _mm256_set1_epi16(2), 1);
    __m512i right = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(2), 1);
    for (int h = 0; h < 2; h++) {
        const i8 *values = x->values + 32 * at + 128 * h;
        const i32 *sums = x->sums + 8 * at + 32 * h;
        __m512i q = LOAD512(b + 64 * h), bits = _mm512_broadcast_i64x4(LOAD256(b + 128 + 32 * h));
        __m512i low = _mm512_and_si512(q, LOW_NIBBLE), high = _mm512_and_si512(_mm512_srli_epi16(q, 4), LOW_NIBBLE);
        low = _mm512_ternarylogic_epi64(low, _mm512_sllv_epi16(bits, left), upper, 0xf8);
        high = _mm512_ternarylogic_epi64(high, _mm512_srlv_epi16(bits, right), upper, 0xf8);
        low = _mm512_dpbusd_epi32(LOAD512(sums), low, LOAD512(values));
        high = _mm512_dpbusd_epi32(LOAD512(sums + 16), high, LOAD512(values + 64));
        wide_add(s, low, spread4(factors, 8 * h), 0);
        wide_add(s, high, spread4(factors, 8 * h + 4), 1);
    }
}

/* Four bytes to a lane. */
INLINE __m128i lane_sums(i8x16 bytes) {
    return _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8(1), (__m128i)bytes);
}

#define STORE128(at, value) _mm_storeu_si128((__m128i *)(at), (value))

/* Prepares activations in one of the orders. */
static void wide_prepare(i64 order, i64 columns, const float *x, float *to) {
    wide_row row = wide_at(to, columns);
    float *scales = (float *)row.scales, *block_sums = (float *)row.block_sums, *spread = (float *)row.spread;
    for (i64 k = 0; k < whole256(columns); k += 32) {
        quantized q = {};
        if (k < columns) {
            q = quantize(x + k, 0);
        }
        scales[k / 32] = q.scale;
        block_sums[k / 32] = q.first_sum + q.second_sum;
        i8 *values = (i8 *)row.values + k, *second = values + 16;
        i32 *sums = (i32 *)row.sums;
        if (order == BY_HALVES) {
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

/* Rows of blocks, `some` of them at a time. */
#define WIDE_ROWS(type, elements, bytes, some)                                                                         \
    static void wide_rows_##type(const range *r, const float *x, float *out) {                                         \
        i64 columns = r->columns, blocks = columns / elements;                                                         \
        for (i64 row = r->first; row < r->end; row++) {                                                                \
            const u8 *begin = r->weights + stored_row(row, r->head) * (blocks * bytes);                                \
            for (i64 i = 0; i < r->rows; i++) {                                                                        \
                const u8 *b = begin;                                                                                   \
                wide_row a = wide_at(x + i * r->stride, columns);                                                      \
                wide_sums s = {};                                                                                      \
                i64 at = 0;                                                                                            \
                for (; at + 256 / elements <= blocks; at += 256 / elements) {                                          \
                    STREAM(b, 256 / elements * bytes);                                                                 \
                    for (int j = 0; j < 256 / elements; j += some, b += some * bytes) {                                \
                        wide_##type(&s, &a, (at + j) * (elements / 32), b, some, j / some & 1);                        \
                    }                                                                                                  \
                }                                                                                                      \
                for (; at < blocks; at += some, b += some * bytes) {                                                   \
                    i64 count = blocks - at;                                                                           \
                    if (some == 1 || count >= some) {                                                                  \
                        wide_##type(&s, &a, at * (elements / 32), b, some, 0);                                         \
                    } else {                                                                                           \
                        wide_##type(&s, &a, at * (elements / 32), b, count, 1);                                        \
                    }                                                                                                  \
                }                                                                                                      \
                out[i * r->outputs + row] = wide_total(&s);                                                            \
            }                                                                                                          \
        }                                                                                                              \
    }

WIDE_ROWS(Q4_0, 32, 18, 4)
WIDE_ROWS(Q4_1, 32, 20, 4)
WIDE_ROWS(IQ4_NL, 32, 18, 4)
WIDE_ROWS(Q8_0, 32, 34, 2)
WIDE_ROWS(Q4_K, 256, 144, 1)
WIDE_ROWS(Q5_K, 256, 176, 1)
WIDE_ROWS(Q6_K, 256, 210, 1)
