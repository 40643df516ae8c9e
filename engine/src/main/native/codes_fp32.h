/* Words of codes times fp32 activations. */
#include "words.h"

INLINE activations prepared_codes(const float *x, i64 columns) { return (activations){x, 0, 0, 0, 1}; }

INLINE float sum_of_group(const activations *x, i64 k, i64 count) {
    const float *values = x->values + k;
    f32x8 s = {};
    i64 i = 0;
    for (; i + 8 <= count; i += 8) {
        s += LOAD(f32x8, values + i);
    }
    float sum = sum8(s);
    for (; i < count; i++) {
        sum += values[i];
    }
    return sum;
}

/* What 8-bit codes are taken less. */
#define BYTE_MIDDLE 0

/* Nibble i of each word, where it stands: times 16^i, or 16^6 for the last. */
INLINE floats nibble_of(words w, int i) {
    return CONVERT(floats, (signed_words)(i < 7 ? w & 15u << 4 * i : w >> 4 & 15u << 24));
}

static const float POWERS[8] = {1, 0x1p-4, 0x1p-8, 0x1p-12, 0x1p-16, 0x1p-20, 0x1p-24, 0x1p-24};

/* To each nibble's sum, the products of some inputs k. */
INLINE void add_awq(
        floats sums[8], const activations *x, i64 k, i64 depth, const u8 *at, i64 row, i64 count) {
    floats s[8] = {};
    for (i64 i = 0; i < depth; i++, at += row) {
        words w = load_words(at, count);
        FETCH_WORDS(at, AWQ_AHEAD * row);
        for (int n = 0; n < 8; n++) {
            s[n] = FMA(nibble_of(w, n), (floats){} + x->values[k + i], s[n]);
        }
    }
    for (int n = 0; n < 8; n++) {
        sums[n] = FMA(s[n], (floats){} + POWERS[n], sums[n]);
    }
}

/* To each word's sum, the products of some inputs, eight to a word. */
INLINE floats add_gptq(floats sum, const activations *x, i64 k, i64 depth, const u8 *at, i64 row, i64 count) {
    floats s[8] = {};
    for (i64 i = 0; i < depth; i += 8, at += row) {
        words w = load_words(at, count);
        FETCH_WORDS(at, GPTQ_AHEAD * row);
        for (int n = 0; n < 8; n++) {
            s[n] = FMA(nibble_of(w, n), (floats){} + x->values[k + i + n], s[n]);
        }
    }
    for (int n = 7; n >= 0; n--) {
        sum = FMA(s[n], (floats){} + POWERS[n], sum);
    }
    return sum;
}

/* The same of four inputs to a word. Byte i stands times 256^i, or 256^2 for the last. */
INLINE floats add_gptq_bytes(floats sum, const activations *x, i64 k, i64 depth, const u8 *at, i64 row, i64 count) {
    const float powers[4] = {1, 0x1p-8, 0x1p-16, 0x1p-16};
    floats s[4] = {};
    for (i64 i = 0; i < depth; i += 4, at += row) {
        words w = load_words(at, count);
        FETCH_WORDS(at, BYTES_AHEAD * row);
        UNROLL
        for (int n = 0; n < 4; n++) {
            words code = n < 3 ? w & 255u << 8 * n : w >> 8 & 255u << 16;
            s[n] = FMA(CONVERT(floats, (signed_words)code), (floats){} + x->values[k + i + n], s[n]);
        }
    }
    UNROLL
    for (int n = 3; n >= 0; n--) {
        sum = FMA(s[n], (floats){} + powers[n], sum);
    }
    return sum;
}
