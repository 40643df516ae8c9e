// result[t] = logits[t, next[t]] - log(sum_v exp(logits[t, v])), in one pass over the logits of a chunk of tokens: a running
// maximum and a sum scaled to it, per thread, then joined over the block in a fixed order. Logits are fp32 [rows, vocabulary].
// likeliest[t] is the id of the greatest logit, the smallest of several; as a float, which holds it exactly.
// Grid: rows.  Block: 256.

#include "common.cuh"

DEVICE void join(float& max, float& sum, int& best, float other_max, float other_sum, int other_best) {
    if (other_max > max || (other_max == max && other_best < best)) best = other_best;
    float larger = fmaxf(max, other_max);
    // A maximum of -inf is an empty part; NaN must stay NaN.
    if (max == larger || max != max) {
        sum = sum + (other_max == -INFINITY ? 0.0f : other_sum * __expf(other_max - max));
    } else {
        sum = (max == -INFINITY ? 0.0f : sum * __expf(max - larger)) + other_sum;
        max = larger;
    }
}

extern "C" __global__ void log_probabilities(const float* logits, int vocabulary, const int* next, float* result,
                                             float* likeliest) {
    __shared__ float maxima[8], sums[8];
    __shared__ int bests[8];
    const float* row = logits + (long long)blockIdx.x * vocabulary;
    float max = -INFINITY, sum = 0;
    int best = 0;
    bool broken = false;
    for (int v = threadIdx.x; v < vocabulary; v += 256) {
        float x = row[v];
        broken |= x != x;
        if (x > max) {
            sum = sum * __expf(max - x) + 1.0f;
            max = x;
            best = v;
        } else {
            sum += __expf(x - max);
        }
    }
    if (broken) sum = __int_as_float(0x7fc00000);
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) {
        float other_max = __shfl_xor_sync(0xffffffffu, max, d);
        float other_sum = __shfl_xor_sync(0xffffffffu, sum, d);
        int other_best = __shfl_xor_sync(0xffffffffu, best, d);
        join(max, sum, best, other_max, other_sum, other_best);
    }
    if (threadIdx.x % 32 == 0) {
        maxima[threadIdx.x / 32] = max;
        sums[threadIdx.x / 32] = sum;
        bests[threadIdx.x / 32] = best;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < 8; w++) join(max, sum, best, maxima[w], sums[w], bests[w]);
        likeliest[blockIdx.x] = (float)best;
        result[blockIdx.x] = row[next[blockIdx.x]] - max - logf(sum);
    }
}
