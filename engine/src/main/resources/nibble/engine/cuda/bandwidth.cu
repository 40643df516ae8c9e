// Reads all of a buffer once and keeps one word of each block's sum, so that nothing can be left out: the speed that kernels
// bound by memory are held against.  n: 16-byte words.  Grid: 8 blocks a multiprocessor.  Block: 256.

#include "common.cuh"

extern "C" __global__ void read_all(const uint4* data, long long n, u32* sums) {
    long long stride = (long long)gridDim.x * 256;
    u32 sum = 0;
    long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    for (; i + 3 * stride < n; i += 4 * stride) {
        uint4 v[4];
#pragma unroll
        for (int j = 0; j < 4; j++) v[j] = __ldg(data + i + j * stride);
#pragma unroll
        for (int j = 0; j < 4; j++) sum += v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
    }
    for (; i < n; i += stride) {
        uint4 v = __ldg(data + i);
        sum += v.x ^ v.y ^ v.z ^ v.w;
    }
    sum = __reduce_add_sync(0xffffffffu, sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
