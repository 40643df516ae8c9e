/* Words of eight codes or four, as many at a time as a vector has floats. */
#ifndef NIBBLE_WORDS_H
#define NIBBLE_WORDS_H
#include "matrix.h"

#if defined(__AVX512F__)
#define LANES 16
typedef u32x16 words;
typedef i32x16 signed_words;
typedef f32x16 floats;
#else
#define LANES 8
typedef VECTOR(u32, 32) words;
typedef i32x8 signed_words;
typedef f32x8 floats;
#endif

/*
 * How many rows of words ahead the same words are fetched: those of the next step of their tile. The first-level cache
 * gets them ALONG bytes before they are used.
 */
#define AWQ_AHEAD 32
#define GPTQ_AHEAD 4
#define BYTES_AHEAD 8
#define ALONG 256
#define FETCH_WORDS(at, ahead)                                                                                         \
    do {                                                                                                               \
        FETCH((at) + (ahead));                                                                                         \
        __builtin_prefetch((at) + ALONG, 0, 3);                                                                        \
    } while (0)

INLINE words load_words(const u8 *at, i64 count) {
    words w = {};
    if (__builtin_expect(count >= LANES, 1)) {
        return LOAD(words, at);
    }
    for (i64 i = 0; i < count; i++) {
        w[i] = LOAD(u32, at + 4 * i);
    }
    return w;
}

#endif
