/* Words of codes times activations in bytes: groups are whole 32 inputs. */
#include "words.h"

INLINE activations prepared_codes(const float *x, i64 columns) { return prepared(x, columns, 0, 1); }

INLINE float sum_of_group(const activations *x, i64 k, i64 count) {
    float sum = 0;
    for (i64 i = 0; i < count; i += 32) {
        sum += x->sums32[(k + i) / 32];
    }
    return sum;
}

/* To each word, the products of its four bytes, all below 16, with four activations. */
INLINE signed_words word_dot(signed_words sum, words w, const i8 *x) {
    words four = (words){} + LOAD(u32, x);
#if LANES == 16
    return (signed_words)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)four);
#else
    return dot(sum, (u8x32)w, (i8x32)four);
#endif
}

/* What 8-bit codes are taken less: bytes with signs. */
#define BYTE_MIDDLE 128

/* The same of 8-bit codes, taken so. */
INLINE signed_words byte_dot(signed_words sum, words w, const i8 *x) {
    words four = (words){} + LOAD(u32, x);
#if LANES == 16
    /* The instruction takes them as they are. */
    __m512i less = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(-128), (__m512i)four);
    return (signed_words)_mm512_sub_epi32(_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)four), less);
#else
    return signed_dot(sum, (i8x32)(w ^ 0x80808080u), (i8x32)four);
#endif
}

/* To each word's sum, the products of 32 inputs, four to a word. */
INLINE floats add_gptq_bytes(floats sum, const activations *x, i64 k, i64 depth, const u8 *at, i64 row, i64 count) {
    signed_words s = {};
    UNROLL
    for (i64 i = 0; i < 32; i += 4, at += row) {
        words w = load_words(at, count);
        FETCH_WORDS(at, BYTES_AHEAD * row);
        s = byte_dot(s, w, x->values + k + i);
    }
    return FMA(CONVERT(floats, s), (floats){} + x->scales[k / 32], sum);
}

#define EVEN_BYTES 0x00ff00ffu
#define LOW_NIBBLES 0x0f0f0f0fu

/* Words of inputs k to k + 3 to words of byte b of each. */
INLINE void by_byte(words w[4]) {
    words even[2], odd[2];
    for (int i = 0; i < 2; i++) {
        words a = w[2 * i], b = w[2 * i + 1];
        even[i] = (a & EVEN_BYTES) | (b << 8 & ~EVEN_BYTES);
        odd[i] = (a >> 8 & EVEN_BYTES) | (b & ~EVEN_BYTES);
    }
    w[0] = (even[0] & 0xffff) | even[1] << 16;
    w[1] = (odd[0] & 0xffff) | odd[1] << 16;
    w[2] = even[0] >> 16 | (even[1] & ~0xffffu);
    w[3] = odd[0] >> 16 | (odd[1] & ~0xffffu);
}

#if defined(__x86_64__) && LANES == 8
/*
 * AVX2 has no instruction that sums four products up, so that those of pairs are summed in 16 bits over 32 inputs:
 * eight of at most 2 * 15 * 127 fit.
 */
typedef __m256i pair_sums;
INLINE pair_sums pair_dot(pair_sums sum, __m256i w, const i8 *x) {
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, _mm256_set1_epi32(LOAD(i32, x))));
}
INLINE floats pairs_total(pair_sums s) {
    return CONVERT(floats, (signed_words)_mm256_madd_epi16(s, _mm256_set1_epi16(1)));
}

/* A name for each instruction set: sums of 32 inputs, to which `some_dot` adds four. */
typedef pair_sums some_sums;
INLINE some_sums some_dot(some_sums sum, words w, const i8 *x) { return pair_dot(sum, (__m256i)w, x); }
INLINE floats some_total(some_sums s) { return pairs_total(s); }

/* codes.h then includes awq_pairs.h. */
#define AWQ_BY_PAIRS 1

/* To each word's sum, the products of 32 inputs: activations are prepared with even ones before odd ones. */
INLINE floats add_gptq(floats sum, const activations *x, i64 k, i64 depth, const u8 *at, i64 row, i64 count) {
    const __m256i low = _mm256_set1_epi8(15);
    pair_sums s = _mm256_setzero_si256();
    UNROLL
    for (i64 i = 0; i < 4; i++, at += row) {
        __m256i w = (__m256i)load_words(at, count);
        FETCH_WORDS(at, GPTQ_AHEAD * row);
        s = pair_dot(s, _mm256_and_si256(w, low), x->values + k + 4 * i);
        s = pair_dot(s, _mm256_and_si256(_mm256_srli_epi16(w, 4), low), x->values + k + 16 + 4 * i);
    }
    return FMA(pairs_total(s), (floats){} + x->scales[k / 32], sum);
}
#else
typedef signed_words some_sums;
INLINE some_sums some_dot(some_sums sum, words w, const i8 *x) { return word_dot(sum, w, x); }
INLINE floats some_total(some_sums s) { return CONVERT(floats, s); }

/* To each nibble's sum, the products of 32 inputs k. */
INLINE void add_awq(floats sums[8], const activations *x, i64 k, i64 depth, const u8 *at, i64 row, i64 count) {
    signed_words s[8] = {};
    for (i64 i = 0; i < 32; i += 4) {
        words w[4];
        for (int j = 0; j < 4; j++, at += row) {
            w[j] = load_words(at, count);
            FETCH_WORDS(at, AWQ_AHEAD * row);
        }
        by_byte(w);
        for (int j = 0; j < 4; j++) {
            s[2 * j] = word_dot(s[2 * j], w[j] & LOW_NIBBLES, x->values + k + i);
            s[2 * j + 1] = word_dot(s[2 * j + 1], w[j] >> 4 & LOW_NIBBLES, x->values + k + i);
        }
    }
    for (int n = 0; n < 8; n++) {
        sums[n] = FMA(CONVERT(floats, s[n]), (floats){} + x->scales[k / 32], sums[n]);
    }
}

/* To each word's sum, the products of 32 inputs: activations are prepared with even ones before odd ones. */
INLINE floats add_gptq(floats sum, const activations *x, i64 k, i64 depth, const u8 *at, i64 row, i64 count) {
    signed_words s = {};
    for (i64 i = 0; i < 4; i++, at += row) {
        words w = load_words(at, count);
        FETCH_WORDS(at, GPTQ_AHEAD * row);
        s = word_dot(s, w & LOW_NIBBLES, x->values + k + 4 * i);
        s = word_dot(s, w >> 4 & LOW_NIBBLES, x->values + k + 16 + 4 * i);
    }
    return FMA(CONVERT(floats, s), (floats){} + x->scales[k / 32], sum);
}
#endif
