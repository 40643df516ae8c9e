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
            i64, i64, i64, i64, i64, const float *, const float *, const float *, float *, float *);                   \
    void norm_fp32_##set(i64, i64, i64, const float *, const float *, float *);                                        \
    void turn_fp32_##set(i64, i64, i64, const float *, const float *, float *);                                        \
    void gate_fp32_##set(i64, i64, const float *, const float *, float *);                                             \
    void add_fp32_##set(i64, const float *, float *);                                                                  \
    void sum_fp32_##set(i64, i64, i64, const float *, float *);                                                        \
    void panel_fp32_##set(i64, i64, i64, i64, i64, const float *, const float *, float *);                             \
    void soften_fp32_##set(i64, i64, float *, float *, float *);                                                       \
    void fill_fp32_##set(i64, i64, i64, i64, i64, i64, i64, const u8 *, float *);
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
EXPORT const i64 nibble_version = 10;

/* The form of activations that rows of a GGUF type take, or codes by rows. */
static i64 form_of(i64 set, i64 way, i64 type) {
#if defined(__x86_64__)
    if (way) {
        return set == 1 ? wide_form(type) : avx2_form(type);
    }
#endif
    return type == CODES_BY_ROWS ? IN_PAIRS : IN_ORDER;
}

/* Of: set, way, type. */
CALLED(form) { return form_of(n[0], n[1], n[2]); }

/* Of: way, form, columns. */
CALLED(prepared_floats) { return prepared_floats(n[0], n[1], n[2]); }

/* Of: set, way, form, columns; x, to. */
CALLED(prepare) {
#define PREPARE(number, set)                                                                                           \
    case number: EITHER(prepare, n[1], set, n[2], n[3], FLOATS(a), FLOATS(b)); break;
    switch (n[0]) { SETS(PREPARE) }
    return 0;
}

/* Of: set, way, type, weights, head, first, end, columns, rows, stride, outputs; x, out. */
CALLED(rows) {
    i64 type = n[2];
    range r = {(const u8 *)n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], 0, 0, 0, 0};
    int is_plain = type <= 1 || type == 30;
#define ROWS(number, set)                                                                                              \
    case number:                                                                                                       \
        if (is_plain) {                                                                                                \
            plain_fp32_##set(type, &r, FLOATS(a), FLOATS(b));                                                          \
        } else {                                                                                                       \
            EITHER(rows, n[1], set, type, &r, FLOATS(a), FLOATS(b));                                                   \
        }                                                                                                              \
        break;
    switch (n[0]) { SETS(ROWS) }
    return 0;
}

/* A matrix of codes, of: layout, codes, zeros, scales, less_one, outputs, groups, size. */
INLINE matrix code_matrix(const i64 *n) {
    i64 bits = CODES_AWQ + n[0] >= BYTES_GPTQ ? 8 : 4;
    u32 less = ~0u / ((1u << bits) - 1) * (n[4] != 0);
    return (matrix){(const u8 *)n[1], (const u8 *)n[2], (const u8 *)n[3], n[5], n[6], n[7], less, bits};
}

/* Of: set, way, a matrix of codes, first, end, first group, end of groups, part, rows, stride; x, room, out. */
CALLED(codes) {
    matrix m = code_matrix(n + 2);
    range r = {0, 0, n[10], n[11], m.groups * m.size, n[15], n[16], m.outputs, n[12], n[13], n[14], FLOATS(b)};
#define CODES(number, set)                                                                                             \
    case number: EITHER(codes, n[1], set, n[2], &m, &r, FLOATS(a), FLOATS(c)); break;
    switch (n[0]) { SETS(CODES) }
    return 0;
}

/* Of: set, size of a head, stride, seen, heads, scale; query, keys, values, scores, out. */
CALLED(attend) {
#define ATTEND(number, set)                                                                                            \
    case number:                                                                                                       \
        attend_fp32_##set(n[1], n[2], n[3], n[4], n[5], FLOATS(a), FLOATS(b), FLOATS(c), FLOATS(d), FLOATS(e));        \
        break;
    switch (n[0]) { SETS(ATTEND) }
    return 0;
}

/* The operations of elements.h. Of: set, rows, columns, epsilon; x, weight, out. */
CALLED(norm) {
#define NORM(number, set)                                                                                              \
    case number: norm_fp32_##set(n[1], n[2], n[3], FLOATS(a), FLOATS(b), FLOATS(c)); break;
    switch (n[0]) { SETS(NORM) }
    return 0;
}

/* Of: set, columns, size of a head, half; cosines, sines, x. */
CALLED(turn) {
#define TURN(number, set)                                                                                              \
    case number: turn_fp32_##set(n[1], n[2], n[3], FLOATS(a), FLOATS(b), FLOATS(c)); break;
    switch (n[0]) { SETS(TURN) }
    return 0;
}

/* Of: set, kind, from, end; gate, up, out. */
CALLED(gate) {
#define GATE(number, set)                                                                                              \
    case number:                                                                                                       \
        gate_fp32_##set(n[1], n[3] - n[2], FLOATS(a) + n[2], FLOATS(b) + n[2], FLOATS(c) + n[2]);                      \
        break;
    switch (n[0]) { SETS(GATE) }
    return 0;
}

/* Of: set, count; x, into. */
CALLED(add) {
#define ADD(number, set)                                                                                               \
    case number: add_fp32_##set(n[1], FLOATS(a), FLOATS(b)); break;
    switch (n[0]) { SETS(ADD) }
    return 0;
}

/* Of: set, parts, apart, count; from, out. */
CALLED(sum) {
#define SUM_PARTS(number, set)                                                                                         \
    case number: sum_fp32_##set(n[1], n[2], n[3], FLOATS(a), FLOATS(b)); break;
    switch (n[0]) { SETS(SUM_PARTS) }
    return 0;
}

/* The operations of panels.h. Of: set, rows, depth, stride of a, stride of c, accumulate; a, b, c. */
CALLED(panel) {
#define PRODUCT(number, set)                                                                                           \
    case number: panel_fp32_##set(n[1], n[2], n[3], n[4], n[5], FLOATS(a), FLOATS(b), FLOATS(c)); break;
    switch (n[0]) { SETS(PRODUCT) }
    return 0;
}

/* Of: set, count, width; scores, state, sums. */
CALLED(soften) {
#define SOFTEN(number, set)                                                                                            \
    case number: soften_fp32_##set(n[1], n[2], FLOATS(a), FLOATS(b), FLOATS(c)); break;
    switch (n[0]) { SETS(SOFTEN) }
    return 0;
}

/* Of: set, type, head, first, rows, columns, from, depth; weights, to. */
CALLED(fill) {
#define FILL(number, set)                                                                                              \
    case number: fill_fp32_##set(n[1], n[2], n[3], n[4], n[5], n[6], n[7], a, FLOATS(b)); break;
    switch (n[0]) { SETS(FILL) }
    return 0;
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

/* Of: rows, columns; a, tiles. */
CALLED(split) {
#if HAS_AMX
    amx_split(FLOATS(a), n[0], n[1], b);
#endif
    return 0;
}

/* Of: rows, columns of a, from, depth, stride, columns; tiles, panel, c, scratch, sums. */
CALLED(product) {
#if HAS_AMX
    amx_product(a, n[0], n[1], n[2], n[3], FLOATS(b), FLOATS(c), n[4], n[5], d, FLOATS(e));
#endif
    return 0;
}

/*
 * Asks for large pages where the system has not yet read a mapped file: a kernel then waits less for where its next
 * page lies. A system that does not know the request refuses it, which changes nothing.
 */
CALLED(advise) {
#if defined(__linux__)
    /* Of: bytes; from. */
    u64 first = ((u64)a + 4095) & ~4095ull, end = ((u64)a + (u64)n[0]) & ~4095ull;
    long result = 0;
    if (first >= end) {
        return 0;
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
    return 0;
}

/* Of: rows, columns; x, to. */
CALLED(byte_rows) {
#if HAS_AVX2
    make_byte_rows(FLOATS(a), n[0], n[1], b);
#endif
    return 0;
}

/* By tiles of AMX, or by AVX2. */
static void byte_product(i64 tiles, i64 type, const u8 *weights, i64 head, i64 first, i64 count, i64 columns, i64 rows,
        i64 stride, const u8 *a, float *out, u8 *scratch) {
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

/* Of: tiles, type, weights, head, first, count, columns, rows, stride; rows of a, out, scratch. */
CALLED(byte_product) {
    byte_product(n[0], n[1], (const u8 *)n[2], n[3], n[4], n[5], n[6], n[7], n[8], a, FLOATS(b), c);
    return 0;
}

/* The same of codes. Of: tiles, a matrix of codes, first, count, rows, stride; rows of a, out, scratch. */
CALLED(code_product) {
    matrix m = code_matrix(n + 1);
    byte_product(n[0], CODES_AWQ + n[1], (const u8 *)&m, 0, n[9], n[10], m.groups * m.size, n[11], n[12], a, FLOATS(b),
            c);
    return 0;
}

/* The bytes that byte_product takes as scratch. Of: tiles, outputs, rows. */
CALLED(byte_room) {
#if HAS_AMX
    if (n[0]) {
        return amx_bytes_room(n[1], n[2]);
    }
#endif
#if HAS_AVX2
    return avx2_bytes_room(n[1], n[2]);
#else
    return 0;
#endif
}

/* The bytes that byte_rows takes for sixteen rows. Of: columns. */
CALLED(byte_row_bytes) {
#if HAS_AVX2
    return byte_row_bytes(n[0]);
#else
    return 0;
#endif
}

#include "program.h"

#if defined(__x86_64__)
static void cpuid(u32 leaf, u32 part, u32 r[4]) {
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(part));
}
static int has(u32 word, u32 bits) { return (word & bits) == bits; }

/* The highest set of this processor and its system; -1 if it has not even AVX2, FMA and F16C. */
CALLED(set) {
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
CALLED(tiles) {
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
CALLED(set) { return getauxval(16) >> 20 & 1; }
#else
/* All of Apple's 64-bit processors since the first of a Mac have dot products. */
CALLED(set) { return 1; }
#endif

#if !HAS_AMX
CALLED(tiles) { return 0; }
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
