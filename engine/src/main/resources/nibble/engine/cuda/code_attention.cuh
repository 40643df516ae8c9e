// Attention to keys and values that are 8-bit codes, as cache_codes.cuh has them.
//
// A code enters the tensor cores as the exact integer c - 128. A key's scale multiplies its fp32 score, a value's scale its weight.
// A weight counts VALUE_UNIT times, sums and total alike: so weights of small values stay normal numbers in fp16, and those of the
// largest finite.
//
// Who includes this has decode_attention.cuh, which says which lane has what.

#pragma once
#include "cache_codes.cuh"

constexpr int VALUE_UNIT = 64;

DEVICE uint2 load_codes(const unsigned char* from, bool valid) {
    uint2 v = make_uint2(0, 0);
    if (valid) asm volatile("ld.global.cg.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(from) : "memory");
    return v;
}

// Four codes as integers in fp16: codes 0 and 1, codes 2 and 3. 0x6400 is 1024, whose last bit counts 1; 0x6480 is 1024 + CODE_ZERO.
DEVICE void expand_codes(u32 codes, u32& low, u32& high) {
    low = subtract_half2(__byte_perm(codes, 0x64646464u, 0x4140), 0x64806480u);
    high = subtract_half2(__byte_perm(codes, 0x64646464u, 0x4342), 0x64806480u);
}

// What a lane has of 16 keys and values.
struct CodedKeys {
    uint2 keys[2][K_PIECES], values[4][V_PIECES];
    float key_scales[4], value_scales[4];  // of keys 2t, 2t + 1, 2t + 8, 2t + 9
};

// Keys of a block of the cache, of which `count` are seen: others are copies of the last.
DEVICE void load_coded(CodedKeys& to, const unsigned char* k, const unsigned char* v, const float* k_scales, const float* v_scales,
                       int count, int stride) {
    int lane = threadIdx.x % 32, r = lane / 4, t = lane % 4;
#pragma unroll
    for (int n = 0; n < 2; n++) {
        const unsigned char* from = k + (long long)min(n * 8 + r, count - 1) * stride + t * 8;
#pragma unroll
        for (int i = 0; i < K_PIECES; i++) to.keys[n][i] = load_codes(from + i * 32, i * 32 + t * 8 < HEAD_DIM);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int key = min(2 * t + (i & 1) + (i >> 1) * 8, count - 1);
        to.key_scales[i] = load_partial(k_scales + key), to.value_scales[i] = load_partial(v_scales + key);
        const unsigned char* from = v + (long long)key * stride + r * 8;
#pragma unroll
        for (int piece = 0; piece < V_PIECES; piece++) {
            to.values[i][piece] = load_codes(from + piece * 64, piece * 64 + r * 8 < HEAD_DIM);
        }
    }
}

// As attend of decode_attention.cuh; of the keys, those from `count` on and with a window those before `first` count nothing.
template <bool WINDOW>
DEVICE void attend_coded(Sums& sums, const half_t* q, const CodedKeys& c, int count, float scale, int first) {
    int t = threadIdx.x % 4;
    float s[2][4] = {};
#pragma unroll
    for (int i = 0; i < K_PIECES; i++) {
        uint4 low = *(const uint4*)(q + i * 32);
        uint4 high = HEADS > 8 ? *(const uint4*)(q + 8 * Q_STRIDE + i * 32) : make_uint4(0, 0, 0, 0);
        u32 first_half[4] = {low.x, high.x, low.y, high.y}, second_half[4] = {low.z, high.z, low.w, high.w};
#pragma unroll
        for (int n = 0; n < 2; n++) {
            u32 a, b;
            expand_codes(c.keys[n][i].x, a, b);
            mma_16x8x16(s[n], first_half, a, b);
            expand_codes(c.keys[n][i].y, a, b);
            mma_16x8x16(s[n], second_half, a, b);
        }
    }
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int key = n * 8 + 2 * t + (i & 1);
            s[n][i] = key < count && (!WINDOW || key >= first) ? scaled(s[n][i] * c.key_scales[2 * n + (i & 1)], scale) : NEVER;
        }
    float factor[2];
    soften<VALUE_UNIT>(sums, s, factor);
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) s[n][i] *= VALUE_UNIT * c.value_scales[2 * n + (i & 1)];
    u32 p[4] = {pack_half2(s[0][0], s[0][1]), pack_half2(s[0][2], s[0][3]), pack_half2(s[1][0], s[1][1]), pack_half2(s[1][2], s[1][3])};
#pragma unroll
    for (int piece = 0; piece < V_PIECES; piece++) {
#pragma unroll
        for (int word = 0; word < 2; word++) {
            u32 of[4];
#pragma unroll
            for (int i = 0; i < 4; i++) of[i] = word ? c.values[i][piece].y : c.values[i][piece].x;
#pragma unroll
            for (int pair = 0; pair < 2; pair++) {  // of the word's elements; each beside that of the next key
                u32 b[2][2];
                expand_codes(__byte_perm(of[0], of[1], pair ? 0x7362 : 0x5140), b[0][0], b[1][0]);
                expand_codes(__byte_perm(of[2], of[3], pair ? 0x7362 : 0x5140), b[0][1], b[1][1]);
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    float(&o)[4] = sums.o[piece * 8 + word * 4 + pair * 2 + e];
                    o[0] *= factor[0], o[1] *= factor[0], o[2] *= factor[1], o[3] *= factor[1];
                    mma_16x8x16(o, p, b[e][0], b[e][1]);
                }
            }
        }
    }
}

// A head of a token by a warp, rotated where there are angles; rounded to fp16 before, as rows are that were stored.
DEVICE void append_coded(unsigned char* to, float* scale, const half_t* x, const float* cos, const float* sin) {
    constexpr int OF_LANE = (HALF + 31) / 32;
    int lane = threadIdx.x % 32;
    float low[OF_LANE], high[OF_LANE];
    u32 most = 0;
#pragma unroll
    for (int i = 0; i < OF_LANE; i++) {
        int j = i * 32 + lane;
        low[i] = high[i] = 0;
        if (j >= HALF) continue;
        float a = load_fresh(x + j), b = load_fresh(x + HALF + j);
        if (cos) {
            float turned = a * cos[j] - b * sin[j];
            b = to_float(to_half(b * cos[j] + a * sin[j])), a = to_float(to_half(turned));
        }
        low[i] = a, high[i] = b;
        most = max(most, max(magnitude(a), magnitude(b)));
    }
    float largest = __uint_as_float(warp_largest(most)), inverse = inverse_of(largest);
#pragma unroll
    for (int i = 0; i < OF_LANE; i++) {
        int j = i * 32 + lane;
        if (j < HALF) to[j] = code_of(low[i], inverse), to[HALF + j] = code_of(high[i], inverse);
    }
    if (lane == 0) *scale = scale_of(largest);
}
