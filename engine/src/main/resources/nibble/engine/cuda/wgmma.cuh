// Warp-group matrix products of sm_90a: a warpgroup multiplies 64 rows by a tile in shared memory, and goes on meanwhile.

#pragma once
#include "common.cuh"

DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

template <int PENDING>
DEVICE void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

#define REGISTERS_4(c, n) "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])
#define REGISTERS_8(c, n) REGISTERS_4(c, n), REGISTERS_4(c, n + 1)
#define REGISTERS_16(c, n) REGISTERS_4(c, n), REGISTERS_4(c, n + 1), REGISTERS_4(c, n + 2), REGISTERS_4(c, n + 3)
#define REGISTERS_32(c, n) REGISTERS_16(c, n), REGISTERS_16(c, n + 4)
#define REGISTERS_64(c, n) REGISTERS_32(c, n), REGISTERS_32(c, n + 8)
#define NAMES_4 "%0,%1,%2,%3"
#define NAMES_8 NAMES_4 ",%4,%5,%6,%7"
#define NAMES_16 NAMES_8 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define NAMES_32 NAMES_16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define NAMES_64                                                                                                              \
    NAMES_32                                                                                                                  \
    ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60," \
    "%61,%62,%63"

// Keeps the compiler from moving accesses to a product's registers across this point.
template <int N>
DEVICE void pin(float (&c)[N][4]) {
#pragma unroll
    for (int n = 0; n < N; n++) asm volatile("" : REGISTERS_4(c, n)::"memory");
}

// A tile in 128-byte swizzle: groups of eight rows are 1024 bytes apart, panels panel_bytes (used where columns, not rows, are
// the product's long side). To step by n bytes, add n / 16.
DEVICE u64 tile_descriptor(u32 address, int panel_bytes) {
    return (u64)(address >> 4) | (u64)(panel_bytes >> 4) << 16 | (u64)(1024 >> 4) << 32 | 1ull << 62;
}

// c[64, 8 N] += a[64, 16] b[8 N, 16]^T, started; b: the descriptor of a tile whose rows hold the summed index.
template <int N>
DEVICE void wgmma_rows(float (&c)[N][4], const u32 (&a)[4], u64 b) {
    static_assert(N == 1 || N == 2 || N == 4 || N == 8 || N == 16);
#define WGMMA_ROWS(COLUMNS, NAMES, A0, A1, A2, A3, B, REGISTERS)                                                             \
    asm volatile("{.reg .pred p; setp.eq.u32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32.f16.f16 {" NAMES \
                 "}, {%" #A0 ",%" #A1 ",%" #A2 ",%" #A3 "}, %" #B ", p, 1, 1, 0;}"                                          \
                 : REGISTERS(c, 0)                                                                                          \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
    if constexpr (N == 1) WGMMA_ROWS(8, NAMES_4, 4, 5, 6, 7, 8, REGISTERS_4);
    if constexpr (N == 2) WGMMA_ROWS(16, NAMES_8, 8, 9, 10, 11, 12, REGISTERS_8);
    if constexpr (N == 4) WGMMA_ROWS(32, NAMES_16, 16, 17, 18, 19, 20, REGISTERS_16);
    if constexpr (N == 8) WGMMA_ROWS(64, NAMES_32, 32, 33, 34, 35, 36, REGISTERS_32);
    if constexpr (N == 16) WGMMA_ROWS(128, NAMES_64, 64, 65, 66, 67, 68, REGISTERS_64);
}
