// Rows of keys and values on their way into the cache and out of it. Its blocks have 16 rows of `columns`, a multiple of 8. `head`
// columns share a scale where the cache has codes; elsewhere it counts nothing, nor do scales.

#include "cache_codes.cuh"

constexpr int BLOCK_TOKENS = 16;

// to[rows[t]] = from[t].  Grid: rows.  Block: 128.
extern "C" __global__ void scatter_rows(const half_t* from, const int* rows, int columns, int head, half_t* to, float* scales) {
    const half_t* source = from + (long long)blockIdx.x * columns;
    half_t* target = to + (long long)rows[blockIdx.x] * columns;
    copy_row(source, target, columns);
}

// k[t] = keys[blocks[t / 16] * 16 + t % 16], v likewise.  Grid: (rows, 2).  Block: 128.
extern "C" __global__ void gather_rows(
    const half_t* keys, const half_t* values, const float* key_scales, const float* value_scales, const int* blocks, int columns, int head,
    half_t* k, half_t* v) {
    int t = blockIdx.x;
    long long row = (long long)blocks[t / BLOCK_TOKENS] * BLOCK_TOKENS + t % BLOCK_TOKENS;
    const half_t* source = (blockIdx.y ? values : keys) + row * columns;
    half_t* target = (blockIdx.y ? v : k) + (long long)t * columns;
    copy_row(source, target, columns);
}

// to[rows[t]] = the codes of from[t].  Grid: rows.  Block: 128.
extern "C" __global__ void scatter_codes(const half_t* from, const int* rows, int columns, int head, unsigned char* to, float* scales) {
    const half_t* source = from + (long long)blockIdx.x * columns;
    int row = rows[blockIdx.x], heads = columns / head, lane = threadIdx.x % 32;
    unsigned char* target = to + (long long)row * columns;
    for (int h = threadIdx.x / 32; h < heads; h += 4) {
        u32 most = 0;
        for (int i = lane; i < head; i += 32) most = max(most, magnitude(to_float(source[h * head + i])));
        float largest = __uint_as_float(warp_largest(most)), inverse = inverse_of(largest);
        for (int i = lane; i < head; i += 32) target[h * head + i] = code_of(to_float(source[h * head + i]), inverse);
        if (lane == 0) scales[scale_at(row, h, heads)] = scale_of(largest);
    }
}

// gather_rows of codes.  Grid: (rows, 2).  Block: 128.
extern "C" __global__ void gather_codes(
    const unsigned char* keys, const unsigned char* values, const float* key_scales, const float* value_scales, const int* blocks,
    int columns, int head, half_t* k, half_t* v) {
    int t = blockIdx.x;
    long long row = (long long)blocks[t / BLOCK_TOKENS] * BLOCK_TOKENS + t % BLOCK_TOKENS;
    const unsigned char* source = (blockIdx.y ? values : keys) + row * columns;
    const float* scales = blockIdx.y ? value_scales : key_scales;
    half_t* target = (blockIdx.y ? v : k) + (long long)t * columns;
    for (int i = threadIdx.x * 4; i < columns; i += 512) {
        float scale = scales[scale_at(row, i / head, columns / head)];
        u32 codes = *(const u32*)(source + i);
        float of[4];
#pragma unroll
        for (int j = 0; j < 4; j++) of[j] = (float)((int)(codes >> 8 * j & 255) - CODE_ZERO) * scale;
        *(uint2*)(target + i) = make_uint2(pack_half2(of[0], of[1]), pack_half2(of[2], of[3]));
    }
}
