/*
 * Vectors by clang's extensions, which it compiles for any instruction set, and the few operations that each set has
 * of its own. Every function here is inlined into one kernel of one instruction set.
 */
#ifndef NIBBLE_VECTORS_H
#define NIBBLE_VECTORS_H

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define VECTOR(type, bytes) type __attribute__((vector_size(bytes)))

typedef unsigned char u8;
typedef signed char i8;
typedef unsigned short u16;
typedef short i16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;
typedef _Float16 f16;

typedef VECTOR(u8, 8) u8x8;
typedef VECTOR(u8, 16) u8x16;
typedef VECTOR(i8, 16) i8x16;
typedef VECTOR(u8, 32) u8x32;
typedef VECTOR(i8, 32) i8x32;
typedef VECTOR(u16, 32) u16x16;
typedef VECTOR(f16, 32) f16x16;
typedef VECTOR(i32, 32) i32x8;
typedef VECTOR(u32, 32) u32x8;
typedef VECTOR(i64, 32) i64x4;
typedef VECTOR(float, 32) f32x8;
typedef VECTOR(i32, 64) i32x16;
typedef VECTOR(u32, 64) u32x16;
typedef VECTOR(float, 64) f32x16;

#define LOAD(type, at)                                                                                                 \
    ({                                                                                                                 \
        type loaded;                                                                                                   \
        __builtin_memcpy(&loaded, (at), sizeof(type));                                                                 \
        loaded;                                                                                                        \
    })
#define STORE(at, value)                                                                                               \
    do {                                                                                                               \
        __typeof__(value) stored = (value);                                                                            \
        __builtin_memcpy((at), &stored, sizeof(stored));                                                               \
    } while (0)
#define CONVERT(type, value) __builtin_convertvector((value), type)
#define FMA(a, b, c) __builtin_elementwise_fma((a), (b), (c))

/* A loop over registers: all of its turns are written out, so that what it indexes needs no memory. */
#define UNROLL _Pragma("clang loop unroll(full)")

/* Stores factors and keeps them in memory, so that each is broadcast by the load that needs it. */
#define KEPT(to, values, count)                                                                                        \
    STORE(to, values);                                                                                                 \
    __asm__("" : "+m"(*(float(*)[count])(to)));

/* Brings a line to the second-level cache: not every machine, and no page's end, is left to the processor's guess. */
#define FETCH(at) __builtin_prefetch((at), 0, 2)

/*
 * The same for some bytes at a time of what is read in order: to the second-level cache, then to the first. One fetch
 * far ahead finds where a small page lies, which takes long.
 */
#define STREAM(at, bytes)                                                                                              \
    do {                                                                                                               \
        FETCH((at) + 12288);                                                                                           \
        for (int line = 0; line < (bytes); line += 64) {                                                               \
            FETCH((at) + 3072 + line);                                                                                 \
            __builtin_prefetch((at) + 768 + line, 0, 3);                                                               \
        }                                                                                                              \
    } while (0)

INLINE float half(const u8 *at) { return (float)LOAD(f16, at); }
INLINE f32x16 splat(float value) { return (f32x16){} + value; }
INLINE u8x16 low16(u8x32 v) {
    return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
INLINE u8x16 high16(u8x32 v) {
    return __builtin_shufflevector(v, v, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
}
INLINE u8x32 join(u8x16 a, u8x16 b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
            22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
}

/* The sum of all lanes, halves first: one order for every instruction set. */
INLINE float sum8(f32x8 v) {
    f32x8 a = v + __builtin_shufflevector(v, v, 4, 5, 6, 7, 4, 5, 6, 7);
    a += __builtin_shufflevector(a, a, 2, 3, 2, 3, 2, 3, 2, 3);
    return a[0] + a[1];
}
INLINE f32x8 low8(f32x16 v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }
INLINE f32x8 high8(f32x16 v) { return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15); }
INLINE float sum16(f32x16 v) { return sum8(low8(v) + high8(v)); }
INLINE float largest16(f32x16 v) {
    f32x8 a = __builtin_elementwise_max(low8(v), high8(v));
    a = __builtin_elementwise_max(a, __builtin_shufflevector(a, a, 4, 5, 6, 7, 4, 5, 6, 7));
    a = __builtin_elementwise_max(a, __builtin_shufflevector(a, a, 2, 3, 2, 3, 2, 3, 2, 3));
    return a[0] > a[1] ? a[0] : a[1];
}

/* Sixteen values that a nibble stands for: its own number, or signed ones. */
typedef struct {
    i8x16 bytes;
    f32x16 floats;
    int is_signed;
} table;
INLINE table tabled(i8x16 bytes, int is_signed) { return (table){bytes, CONVERT(f32x16, bytes), is_signed}; }

/* The table's bytes at indices below 16. */
INLINE i8x16 looked_up(i8x16 values, u8x16 at) {
#if defined(__x86_64__)
    return (i8x16)_mm_shuffle_epi8((__m128i)values, (__m128i)at);
#else
    return (i8x16)vqtbl1q_u8((uint8x16_t)values, (uint8x16_t)at);
#endif
}

/* The values of sixteen bytes' low nibbles, and of their high ones. */
INLINE void nibbles(const table *t, u8x16 q, f32x16 *low, f32x16 *high) {
#if defined(__AVX512F__)
    i32x16 wide = CONVERT(i32x16, q);
    *low = (f32x16)_mm512_permutexvar_ps((__m512i)wide, (__m512)t->floats);
    *high = (f32x16)_mm512_permutexvar_ps(_mm512_srli_epi32((__m512i)wide, 4), (__m512)t->floats);
#else
    u8x16 first = q & 15, second = q >> 4;
    *low = t->is_signed ? CONVERT(f32x16, looked_up(t->bytes, first)) : CONVERT(f32x16, first);
    *high = t->is_signed ? CONVERT(f32x16, looked_up(t->bytes, second)) : CONVERT(f32x16, second);
#endif
}

/* To each lane, four products of bytes in order; those of `u` are below 128. */
INLINE i32x8 dot(i32x8 sum, u8x32 u, i8x32 x) {
#if defined(__AVX512VNNI__)
    return (i32x8)_mm256_dpbusd_epi32((__m256i)sum, (__m256i)u, (__m256i)x);
#elif defined(__x86_64__)
    __m256i pairs = _mm256_maddubs_epi16((__m256i)u, (__m256i)x);
    return sum + (i32x8)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
    int8x16_t a = (int8x16_t)low16(u), b = (int8x16_t)high16(u);
    int8x16_t c = (int8x16_t)low16((u8x32)x), d = (int8x16_t)high16((u8x32)x);
#if defined(__ARM_FEATURE_DOTPROD)
    int32x4_t first = vdotq_s32(vdupq_n_s32(0), a, c), second = vdotq_s32(vdupq_n_s32(0), b, d);
#else
    int32x4_t first = vpaddq_s32(vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(c))),
            vpaddlq_s16(vmull_high_s8(a, c)));
    int32x4_t second = vpaddq_s32(vpaddlq_s16(vmull_s8(vget_low_s8(b), vget_low_s8(d))),
            vpaddlq_s16(vmull_high_s8(b, d)));
#endif
    typedef VECTOR(i32, 16) i32x4;
    return sum + __builtin_shufflevector((i32x4)first, (i32x4)second, 0, 1, 2, 3, 4, 5, 6, 7);
#endif
}

/* The products of two pairs of vectors as `dot` sums them up; bytes of `u` and `v` are below 64. */
INLINE i32x8 dot_both(u8x32 u, i8x32 x, u8x32 v, i8x32 y) {
#if defined(__x86_64__) && !defined(__AVX512VNNI__)
    /* Four products fit 16 bits. */
    __m256i fours = _mm256_add_epi16(
            _mm256_maddubs_epi16((__m256i)u, (__m256i)x), _mm256_maddubs_epi16((__m256i)v, (__m256i)y));
    return (i32x8)_mm256_madd_epi16(fours, _mm256_set1_epi16(1));
#else
    return dot(dot((i32x8){}, u, x), v, y);
#endif
}

/* The same for signed bytes. */
INLINE i32x8 signed_dot(i32x8 sum, i8x32 v, i8x32 x) {
#if defined(__x86_64__)
    return dot(sum, (u8x32)_mm256_abs_epi8((__m256i)v), (i8x32)_mm256_sign_epi8((__m256i)x, (__m256i)v));
#else
    return dot(sum, (u8x32)v, x);
#endif
}
#endif
