// The decode layout of a 4-bit linear W [out, in]: the one copy of its weights on the device. Decode streams it
// (w4_linear.cu), prefill expands it (w4_dequantize.cu), loading writes it (w4_repack.cu).
//
//   W[row, column] = fp16((code - zero) * scale), one fp16 scale and one zero 0..15 per row and group of columns
//
// The matrix is cut into tiles of 16 rows, a tile into units of 256 columns. Units lie one after another, all units of
// tile 0, then all of tile 1, ...; each carries its own scales and zeros, so that a run of units is one stream.
//
//   tiles = ceil(out / 16)   units = ceil(in / 256)   n = groups in a unit = 256 / group size (1 from 256 up, or for a
//   row that is one group: its scale and zero are then repeated in each unit)
//
//   unit   | codes 2048 bytes | scales 32 n bytes | zeros 8 n bytes | 0 to 8 bytes of padding |
//   bytes = 2048 + 40 n rounded up to 16: 2368, 2208, 2128, 2096 for groups of 32, 64, 128, one
//   matrix bytes = tiles * units * unit bytes
//
// A warp computes a unit with mma.m16n8k16, the weights as the 16 x 16 operand. Lane 4 r + t (r = 0..7, t = 0..3) holds
// rows r and r + 8 of the tile. As the order of the summands is free, each lane takes 8 consecutive columns:
//
//   codes    4 steps of 64 columns; in a step 32 lanes of 16 bytes = 4 words
//            word j of lane (r, t), with k = 64 step + 32 (j / 2) + 8 t + 4 (j % 2):
//
//            bits  31-28     27-24     23-20     19-16     15-12     11-8      7-4       3-0
//            row   r+8       r         r+8       r         r+8       r         r+8       r
//            col   k+3       k+3       k+1       k+1       k+2       k+2       k         k
//
//            so that `word & 0x000f000f` is the pair (k, k+1) of row r, the other three pairs likewise
//   scales   n groups of 8 words; word r = scale of row r (low half), scale of row r + 8 (high half)
//   zeros    n groups of 8 bytes; byte r = zero of row r (low nibble), zero of row r + 8 (high nibble)
//
// Columns from `in` up to 256 * units have code, zero and scale 0; rows from `out` up to 16 * tiles are never written and
// their results never stored.
//
// Fused matrices. Query, key and value are the rows of one matrix, one after another. Gate and up are interleaved by
// eight: tile i holds rows 8 i .. 8 i + 7 of gate, then the same of up, so that a lane ends with both factors of SwiGLU.
// Row i of a part lies at row offset + (i / 8) * spread + i % 8 of the matrix:
//
//   part     offset                      spread
//   plain    0                           8
//   q, k, v  0, q rows, q + k rows       8      (each a multiple of 8)
//   gate     0                           16
//   up       8                           16
//
// Compile with -DGROUP_SIZE=32, 64, 128 (or any that divides 256 or is a multiple of it), or 0 for a row that is one group.

#pragma once
#include "common.cuh"

#ifndef GROUP_SIZE
#error "-DGROUP_SIZE is missing"
#endif

constexpr int W4_TILE_ROWS = 16;
constexpr int W4_UNIT_COLUMNS = 256;
constexpr int W4_CODE_BYTES = W4_TILE_ROWS * W4_UNIT_COLUMNS / 2;
constexpr int W4_GROUPS = GROUP_SIZE == 0 || GROUP_SIZE >= W4_UNIT_COLUMNS ? 1 : W4_UNIT_COLUMNS / (GROUP_SIZE + (GROUP_SIZE == 0));
constexpr int W4_SCALE_BYTES = 32 * W4_GROUPS;
constexpr int W4_UNIT_BYTES = W4_CODE_BYTES + (40 * W4_GROUPS + 15) / 16 * 16;

// The group of a row that group j of a unit belongs to.
DEVICE int w4_group(int unit, int j) {
    if (GROUP_SIZE == 0) return 0;
    return W4_GROUPS > 1 ? unit * W4_GROUPS + j : unit * W4_UNIT_COLUMNS / (GROUP_SIZE + (GROUP_SIZE == 0));
}

// --- codes to fp16 ------------------------------------------------------------------------------------------------

// What to subtract: rows r and r + 8 of a group, twice each.
struct W4Zeros {
    u32 low;   // 1024 + zero of row r
    u32 high;  // -(64 + zero of row r + 8)
};

DEVICE W4Zeros w4_zeros(u32 zero_byte) {
    return {(zero_byte & 0x0fu) * 0x00010001u | 0x64006400u, (zero_byte & 0xf0u) * 0x00010001u | 0xd400d400u};
}

template <u32 MASK>
DEVICE u32 w4_pair(u32 word) {  // (word & MASK) | 0x64006400: fp16 1024 + code, or 1024 + 16 code
    u32 pair;
    asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(pair) : "r"(word), "n"(MASK), "r"(0x64006400u));
    return pair;
}

// code - zero, exact in fp16, of the 8 codes of a word: a[0], a[2] are columns (k, k+1), (k+2, k+3) of row r; a[1], a[3]
// those of row r + 8. This is the 16 x 16 operand of the mma.
DEVICE void w4_expand(u32 (&a)[4], u32 word, W4Zeros zeros) {
    u32 shifted = word >> 8;
    asm("sub.f16x2 %0, %1, %2;" : "=r"(a[0]) : "r"(w4_pair<0x000f000fu>(word)), "r"(zeros.low));
    asm("fma.rn.f16x2 %0, %1, %2, %3;"
        : "=r"(a[1]) : "r"(w4_pair<0x00f000f0u>(word)), "r"(0x2c002c00u), "r"(zeros.high));
    asm("sub.f16x2 %0, %1, %2;" : "=r"(a[2]) : "r"(w4_pair<0x000f000fu>(shifted)), "r"(zeros.low));
    asm("fma.rn.f16x2 %0, %1, %2, %3;"
        : "=r"(a[3]) : "r"(w4_pair<0x00f000f0u>(shifted)), "r"(0x2c002c00u), "r"(zeros.high));
}

DEVICE u32 multiply_half2(u32 a, u32 b) {
    u32 product;
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(product) : "r"(a), "r"(b));
    return product;
}
