// Rows of keys and values on their way into the cache and out of it. Its blocks have 16 rows of `columns`, a multiple of 8.

#include "common.cuh"

constexpr int BLOCK_TOKENS = 16;

// to[rows[t]] = from[t].  Grid: rows.  Block: 128.
extern "C" __global__ void scatter_rows(const half_t* from, const int* rows, int columns, half_t* to) {
    const half_t* source = from + (long long)blockIdx.x * columns;
    half_t* target = to + (long long)rows[blockIdx.x] * columns;
    if (columns % 8 == 0) {
        for (int i = threadIdx.x; i < columns / 8; i += 128) ((uint4*)target)[i] = ((const uint4*)source)[i];
    } else {
        for (int i = threadIdx.x; i < columns; i += 128) target[i] = source[i];
    }
}

// k[t] = keys[blocks[t / 16] * 16 + t % 16], v likewise.  Grid: (rows, 2).  Block: 128.
extern "C" __global__ void gather_rows(
    const half_t* keys, const half_t* values, const int* blocks, int columns, half_t* k, half_t* v) {
    int t = blockIdx.x;
    long long row = (long long)blocks[t / BLOCK_TOKENS] * BLOCK_TOKENS + t % BLOCK_TOKENS;
    const half_t* source = (blockIdx.y ? values : keys) + row * columns;
    half_t* target = (blockIdx.y ? v : k) + (long long)t * columns;
    if (columns % 8 == 0) {
        for (int i = threadIdx.x; i < columns / 8; i += 128) ((uint4*)target)[i] = ((const uint4*)source)[i];
    } else {
        for (int i = threadIdx.x; i < columns; i += 128) target[i] = source[i];
    }
}
