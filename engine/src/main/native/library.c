/*
 * What the library exports: the kernels of each instruction set by its number, and the highest number that this
 * processor has. Needs no other library, so that one file serves every C library of a system.
 */
#include "forms.h"
#include "guard.h"
#include "matrix.h"

/* SHA-256 of the sources that this file was made from; NativeSourcesTest compares it with theirs. */
EXPORT const char nibble_sources[] = "nibble-sources:" SOURCES;

#if defined(__x86_64__)
#define SETS(set) set(0, avx2) set(1, avx512)
#else
#define SETS(set) set(0, neon) set(1, dotprod)
#endif

#define DECLARE_WAY(way, set)                                                                                          \
    void prepare_##way##_##set(i64, i64, const float *, float *);                                                      \
    void rows_##way##_##set(i64, const range *, const float *, float *);                                               \
    void codes_##way##_##set(i64, const matrix *, const range *, const float *, float *);
#define DECLARE(number, set)                                                                                           \
    DECLARE_WAY(fp32, set)                                                                                             \
    DECLARE_WAY(int8, set)                                                                                             \
    void plain_fp32_##set(i64, const range *, const float *, float *);                                                 \
    void attend_fp32_##set(                                                                                            \
            i64, i64, i64, i64, i64, const float *, const float *, const float *, float *, float *);
SETS(DECLARE)

/* A function of both forms of activations: `way` is 0 for fp32, 1 for bytes. */
#define EITHER(name, way, set, ...)                                                                                    \
    do {                                                                                                               \
        if (way) {                                                                                                     \
            name##_int8_##set(__VA_ARGS__);                                                                            \
        } else {                                                                                                       \
            name##_fp32_##set(__VA_ARGS__);                                                                            \
        }                                                                                                              \
    } while (0)

/* The number of what the functions here take: NativeLibrary has the same. Whoever changes one changes both. */
#define INTERFACE 8
EXPORT i64 nibble_interface(void) { return INTERFACE; }

/* The form of activations that rows of a GGUF type take, or codes by rows. */
EXPORT i64 nibble_form(i64 set, i64 way, i64 type) {
#if defined(__x86_64__)
    if (way) {
        return set == 1 ? wide_form(type) : avx2_form(type);
    }
#endif
    return type == CODES_BY_ROWS ? IN_PAIRS : IN_ORDER;
}

EXPORT i64 nibble_prepared_floats(i64 way, i64 form, i64 columns) { return prepared_floats(way, form, columns); }

EXPORT void nibble_prepare(i64 set, i64 way, i64 form, i64 columns, const float *x, float *to) {
#define PREPARE(number, set)                                                                                           \
    case number: EITHER(prepare, way, set, form, columns, x, to); break;
    switch (set) { SETS(PREPARE) }
}

EXPORT void nibble_rows(i64 set, i64 way, i64 type, const u8 *weights, i64 head, i64 first, i64 end, i64 columns,
        i64 rows, i64 stride, i64 outputs, const float *x, float *out) {
    range r = {weights, head, first, end, columns, rows, stride, outputs, 0, 0, 0, 0};
    int is_plain = type <= 1 || type == 30;
#define ROWS(number, set)                                                                                              \
    case number:                                                                                                       \
        if (is_plain) {                                                                                                \
            plain_fp32_##set(type, &r, x, out);                                                                        \
        } else {                                                                                                       \
            EITHER(rows, way, set, type, &r, x, out);                                                                  \
        }                                                                                                              \
        break;
    switch (set) { SETS(ROWS) }
}

INLINE matrix code_matrix(i64 layout, const u8 *codes, const u8 *zeros, const u8 *scales, i64 less_one, i64 outputs,
        i64 groups, i64 size) {
    i64 bits = CODES_AWQ + layout >= BYTES_GPTQ ? 8 : 4;
    return (matrix){codes, zeros, scales, outputs, groups, size, ~0u / ((1u << bits) - 1) * (less_one != 0), bits};
}

EXPORT void nibble_codes(i64 set, i64 way, i64 layout, const u8 *codes, const u8 *zeros, const u8 *scales,
        i64 less_one, i64 outputs, i64 groups, i64 size, i64 first, i64 end, i64 first_group, i64 end_group, i64 part,
        i64 rows, i64 stride, const float *x, float *room, float *out) {
    range r = {0, 0, first, end, groups * size, rows, stride, outputs, first_group, end_group, part, room};
    matrix m = code_matrix(layout, codes, zeros, scales, less_one, outputs, groups, size);
#define CODES(number, set)                                                                                             \
    case number: EITHER(codes, way, set, layout, &m, &r, x, out); break;
    switch (set) { SETS(CODES) }
}

EXPORT void nibble_attend(i64 set, i64 d, i64 stride, i64 seen, i64 heads, i64 scale, const float *query,
        const float *keys, const float *values, float *scores, float *out) {
#define ATTEND(number, set)                                                                                            \
    case number: attend_fp32_##set(d, stride, seen, heads, scale, query, keys, values, scores, out); break;
    switch (set) { SETS(ATTEND) }
}

#if defined(__x86_64__) && defined(__linux__)
void amx_split(const float *, i64, i64, u8 *);
void amx_product(const u8 *, i64, i64, i64, i64, const float *, float *, i64, i64, u8 *, float *);
void amx_bytes(i64, const u8 *, i64, i64, i64, i64, i64, const u8 *, i64, float *, u8 *);
i64 amx_bytes_room(i64, i64);
#define HAS_AMX 1
#endif
#if defined(__x86_64__)
void make_byte_rows(const float *, i64, i64, u8 *);
void avx2_bytes(i64, const u8 *, i64, i64, i64, i64, i64, const u8 *, i64, float *, u8 *);
i64 avx2_bytes_room(i64, i64);
i64 byte_row_bytes(i64);
#define HAS_AVX2 1
#endif

EXPORT void nibble_split(i64 rows, i64 columns, const float *a, u8 *tiles) {
#if HAS_AMX
    amx_split(a, rows, columns, tiles);
#endif
}

EXPORT void nibble_product(i64 rows, i64 columns_of_a, i64 from, i64 depth, i64 stride, i64 columns, const u8 *tiles,
        const float *panel, float *c, u8 *scratch, float *sums) {
#if HAS_AMX
    amx_product(tiles, rows, columns_of_a, from, depth, panel, c, stride, columns, scratch, sums);
#endif
}

/*
 * Asks for large pages where the system has not yet read a mapped file: a kernel then waits less for where its next
 * page lies. A system that does not know the request refuses it, which changes nothing.
 */
EXPORT void nibble_advise(i64 bytes, const u8 *from) {
#if defined(__linux__)
    u64 first = ((u64)from + 4095) & ~4095ull, end = ((u64)from + (u64)bytes) & ~4095ull;
    long result = 0;
    if (first >= end) {
        return;
    }
    /* madvise(first, end - first, MADV_HUGEPAGE) */
#if defined(__x86_64__)
    __asm__ volatile("syscall" : "=a"(result) : "a"(28L), "D"(first), "S"(end - first), "d"(14L)
                     : "rcx", "r11", "memory");
#else
    register u64 x0 __asm__("x0") = first;
    register u64 x1 __asm__("x1") = end - first;
    register u64 x2 __asm__("x2") = 14;
    register u64 x8 __asm__("x8") = 233;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x8) : "memory");
#endif
    (void)result;
#endif
}

EXPORT void nibble_byte_rows(i64 rows, i64 columns, const float *x, u8 *to) {
#if HAS_AVX2
    make_byte_rows(x, rows, columns, to);
#endif
}

/* By tiles of AMX, or by AVX2. */
EXPORT void nibble_byte_product(i64 tiles, i64 type, const u8 *weights, i64 head, i64 first, i64 count, i64 columns,
        i64 rows, i64 stride, const u8 *a, float *out, u8 *scratch) {
#if HAS_AMX
    if (tiles) {
        amx_bytes(type, weights, head, first, count, columns, rows, a, stride, out, scratch);
        return;
    }
#endif
#if HAS_AVX2
    avx2_bytes(type, weights, head, first, count, columns, rows, a, stride, out, scratch);
#endif
}

/* The same of codes: the matrix takes the place of weights. */
EXPORT void nibble_code_product(i64 tiles, i64 layout, const u8 *codes, const u8 *zeros, const u8 *scales,
        i64 less_one, i64 outputs, i64 groups, i64 size, i64 first, i64 count, i64 rows, i64 stride, const u8 *a,
        float *out, u8 *scratch) {
    matrix m = code_matrix(layout, codes, zeros, scales, less_one, outputs, groups, size);
    nibble_byte_product(tiles, CODES_AWQ + layout, (const u8 *)&m, 0, first, count, groups * size, rows, stride, a, out,
            scratch);
}

/* The bytes that nibble_byte_product takes as scratch, and nibble_byte_rows for sixteen rows. */
EXPORT i64 nibble_byte_room(i64 tiles, i64 outputs, i64 rows) {
#if HAS_AMX
    if (tiles) {
        return amx_bytes_room(outputs, rows);
    }
#endif
#if HAS_AVX2
    return avx2_bytes_room(outputs, rows);
#else
    return 0;
#endif
}
EXPORT i64 nibble_byte_row_bytes(i64 columns) {
#if HAS_AVX2
    return byte_row_bytes(columns);
#else
    return 0;
#endif
}

#if defined(__x86_64__)
static void cpuid(u32 leaf, u32 part, u32 r[4]) {
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(part));
}
static int has(u32 word, u32 bits) { return (word & bits) == bits; }

/* The highest set of this processor and its system; -1 if it has not even AVX2, FMA and F16C. */
EXPORT i64 nibble_set(void) {
    u32 r[4];
    cpuid(0, 0, r);
    if (r[0] < 7) {
        return -1;
    }
    cpuid(1, 0, r);
    if (!has(r[2], 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29)) {
        return -1;
    }
    u32 saved, upper;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(upper) : "c"(0));
    cpuid(7, 0, r);
    if (!has(saved, 6) || !has(r[1], 1u << 5 | 1u << 3 | 1u << 8)) {
        return -1;
    }
    int avx512 = has(saved, 0xe6) && has(r[1], 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31)
            && has(r[2], 1u << 1 | 1u << 11);
    return avx512 ? 1 : 0;
}

#if HAS_AMX
/* Whether there are tiles of both kinds, and the system lets this process use them: it is asked for their state. */
EXPORT i64 nibble_tiles(void) {
    u32 r[4], one[4];
    cpuid(7, 0, r);
    cpuid(7, 1, one);
    u32 saved, upper;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(upper) : "c"(0));
    if (!has(saved, 3u << 17) || !has(r[3], 1u << 22 | 1u << 24 | 1u << 25) || !has(one[0], 1u << 5)) {
        return 0;
    }
    long result;
    /* arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) */
    __asm__ volatile("syscall" : "=a"(result) : "a"(158L), "D"(0x1023L), "S"(18L) : "rcx", "r11", "memory");
    return result == 0;
}
#endif
#elif defined(__linux__)
EXPORT i64 nibble_set(void) { return getauxval(16) >> 20 & 1; }
#else
/* All of Apple's 64-bit processors since the first of a Mac have dot products. */
EXPORT i64 nibble_set(void) { return 1; }
#endif

#if !HAS_AMX
EXPORT i64 nibble_tiles(void) { return 0; }
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
