// 8-bit codes of keys and values: c stands for (c - 128) * scale, with one scale for each head of a token, its largest magnitude over
// 127. Rows are [tokens, kv_heads * d] bytes, scales [blocks of 16 tokens, kv_heads, 16].

#pragma once
#include "common.cuh"

constexpr int CODE_ZERO = 128, MOST_CODE = 127;
constexpr float LEAST_CODED = 1e-30f;  // numbers that are all smaller become zero

DEVICE long long scale_at(long long row, int head, int heads) { return (row / 16 * heads + head) * 16 + row % 16; }

// The larger of magnitudes as bits: so a NaN is the largest of all, and no number that is not finite gets lost.
DEVICE u32 warp_largest(u32 magnitude) {
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) magnitude = max(magnitude, __shfl_xor_sync(0xffffffffu, magnitude, d));
    return magnitude;
}

DEVICE u32 magnitude(float x) { return __float_as_uint(x) & 0x7fffffffu; }

DEVICE unsigned char code_of(float x, float inverse) { return (unsigned char)(__float2int_rn(x * inverse) + CODE_ZERO); }

DEVICE float scale_of(float largest) { return largest < LEAST_CODED ? 0.0f : __fdiv_rn(largest, (float)MOST_CODE); }
DEVICE float inverse_of(float largest) { return largest < LEAST_CODED ? 0.0f : __fdiv_rn((float)MOST_CODE, largest); }
