// Rows on their way to the experts that a router chose, and back. Matrices are row-major [rows, columns] of fp16; sums are fp32.

#include "common.cuh"

// out[i] = source[rows[i]].  Grid: rows.  Block: 128.
extern "C" __global__ void gather(const half_t* source, const int* rows, int columns, half_t* out) {
    const half_t* from = source + (long long)rows[blockIdx.x] * columns;
    half_t* to = out + (long long)blockIdx.x * columns;
    if (columns % 8 == 0) {
        for (int i = threadIdx.x; i < columns / 8; i += blockDim.x) ((uint4*)to)[i] = ((const uint4*)from)[i];
    } else {
        for (int i = threadIdx.x; i < columns; i += blockDim.x) to[i] = from[i];
    }
}

// into[t] += sum over j of weights[t k + j] products[places[t k + j]].  Grid: rows of into.  Block: 128.
extern "C" __global__ void mix(
    const half_t* products, const int* places, const float* weights, int k, int columns, half_t* into) {
    long long first = (long long)blockIdx.x * k;
    half_t* to = into + (long long)blockIdx.x * columns;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) {
        float sum = 0;
        for (int j = 0; j < k; j++) {
            sum += weights[first + j] * to_float(products[(long long)places[first + j] * columns + i]);
        }
        to[i] = to_half(to_float(to[i]) + sum);
    }
}
