/*
 * What the library exports: the kernels of each instruction set by its number, and the highest number that this
 * processor has. Needs no other library, so that one file serves every C library of a system.
 */
#include "vectors.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* SHA-256 of the sources that this file was made from; NativeSourcesTest compares it with theirs. */
EXPORT const char nibble_sources[] = "nibble-sources:" SOURCES;

#if defined(__x86_64__)
#define SETS(set) set(0, avx2) set(1, avx512)
#else
#define SETS(set) set(0, neon) set(1, dotprod)
#endif

#define DECLARE(number, set)                                                                                           \
    void prepare_##set(i64, i64, const float *, float *);                                                              \
    void rows_##set(i64, const u8 *, i64, i64, i64, i64, const float *, float *);                                      \
    void codes_##set(i64, const u8 *, const u8 *, const u8 *, i64, i64, i64, i64, i64, i64, const float *, float *);
SETS(DECLARE)

EXPORT void nibble_prepare(i64 set, i64 pairs, i64 columns, const float *x, float *to) {
#define PREPARE(number, set)                                                                                           \
    case number: prepare_##set(pairs, columns, x, to); break;
    switch (set) { SETS(PREPARE) }
}

EXPORT void nibble_rows(i64 set, i64 type, const u8 *weights, i64 head, i64 first, i64 end, i64 columns,
        const float *x, float *out) {
#define ROWS(number, set)                                                                                              \
    case number: rows_##set(type, weights, head, first, end, columns, x, out); break;
    switch (set) { SETS(ROWS) }
}

EXPORT void nibble_codes(i64 set, i64 layout, const u8 *codes, const u8 *zeros, const u8 *scales, i64 less_one,
        i64 outputs, i64 groups, i64 size, i64 first, i64 end, const float *x, float *out) {
#define CODES(number, set)                                                                                             \
    case number: codes_##set(layout, codes, zeros, scales, less_one, outputs, groups, size, first, end, x, out); break;
    switch (set) { SETS(CODES) }
}

#if defined(__x86_64__)
static void cpuid(u32 leaf, u32 r[4]) {
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}
static int has(u32 word, u32 bits) { return (word & bits) == bits; }

/* The highest set of this processor and its system; -1 if it has not even AVX2, FMA and F16C. */
EXPORT i64 nibble_set(void) {
    u32 r[4];
    cpuid(0, r);
    if (r[0] < 7) {
        return -1;
    }
    cpuid(1, r);
    if (!has(r[2], 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29)) {
        return -1;
    }
    u32 saved, upper;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(upper) : "c"(0));
    cpuid(7, r);
    if (!has(saved, 6) || !has(r[1], 1u << 5 | 1u << 3 | 1u << 8)) {
        return -1;
    }
    int avx512 = has(saved, 0xe6) && has(r[1], 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31)
            && has(r[2], 1u << 1 | 1u << 11);
    return avx512 ? 1 : 0;
}
#elif defined(__linux__)
/* From whichever C library the process has. */
unsigned long getauxval(unsigned long type);

EXPORT i64 nibble_set(void) { return getauxval(16) >> 20 & 1; }
#else
/* All of Apple's 64-bit processors since the first of a Mac have dot products. */
EXPORT i64 nibble_set(void) { return 1; }
#endif

#if defined(_WIN32)
int DllMainCRTStartup(void *library, unsigned reason, void *reserved) { return 1; }
#endif

/* What the compiler may call for loops and copies. */
__attribute__((visibility("hidden"))) void *memcpy(void *to, const void *from, unsigned long count) {
    u8 *t = to;
    const u8 *f = from;
    for (unsigned long i = 0; i < count; i++) {
        t[i] = f[i];
    }
    return to;
}

__attribute__((visibility("hidden"))) void *memset(void *to, int value, unsigned long count) {
    u8 *t = to;
    for (unsigned long i = 0; i < count; i++) {
        t[i] = (u8)value;
    }
    return to;
}
