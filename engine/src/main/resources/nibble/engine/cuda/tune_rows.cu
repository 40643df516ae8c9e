// Rows of attention scores and of logits in fp32: see nibble.engine.cuda.gradient; the reference backend is the specification.

#include "common.cuh"

#define FULL 0xffffffffu

DEVICE double warp_sum_double(double v) {
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) v += __shfl_xor_sync(FULL, v, d);
    return v;
}

// Sum over the block in a fixed order; every thread gets it. Block: 256.
DEVICE double block_sum(double v) {
    __shared__ double parts[8];
    v = warp_sum_double(v);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    double sum = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) sum += parts[i];
    __syncthreads();
    return sum;
}

// Subtracts the mean of each row from it.  Grid: rows.  Block: 256.
extern "C" __global__ void center(float* x, int columns) {
    float* row = x + (long long)blockIdx.x * columns;
    double sum = 0;
    for (int i = threadIdx.x; i < columns; i += 256) sum += row[i];
    float mean = (float)(block_sum(sum) / columns);
    for (int i = threadIdx.x; i < columns; i += 256) row[i] -= mean;
}

DEVICE float block_max(float v) {
    __shared__ float parts[8];
    v = warp_max(v);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    float max = parts[0];
#pragma unroll
    for (int i = 1; i < 8; i++) max = fmaxf(max, parts[i]);
    __syncthreads();
    return max;
}

// scores[head, t, j] becomes softmax over j of factor scores, over the keys that the query at first + t sees: the last window of
// those up to its own. 0 elsewhere. With the bits that products use. Where there is a cap c, a score s is c tanh(s / c), and slopes,
// of the same extents, takes the cap's slope.  Grid: (tokens, heads).  Block: 256.
extern "C" __global__ void softmax(float* scores, int keys, int first, int window, float factor, float cap, float* slopes) {
    long long at = ((long long)blockIdx.y * gridDim.x + blockIdx.x) * keys;
    float* row = scores + at;
    int position = first + blockIdx.x;
    int from = position >= window ? position - window + 1 : 0;
    if (cap != 0) {
        for (int j = from + threadIdx.x; j <= position; j += 256) {
            float bounded = tanhf(factor * row[j] / cap);
            row[j] = cap * bounded;
            slopes[at + j] = 1 - bounded * bounded;
        }
        factor = 1;
    }
    float max = -INFINITY;
    for (int j = from + threadIdx.x; j <= position; j += 256) max = fmaxf(max, factor * row[j]);
    max = block_max(max);
    double sum = 0;
    for (int j = from + threadIdx.x; j <= position; j += 256) sum += expf(factor * row[j] - max);
    float share = (float)(1.0 / block_sum(sum));
    for (int j = threadIdx.x; j < keys; j += 256) {
        bool seen = j >= from && j <= position;
        row[j] = seen ? tensor_precision(expf(factor * row[j] - max) * share) : 0.0f;
    }
}

// d[head, t, j], the gradient of the shares p, becomes that of the scores: factor p (d - sum over j of p d), times the slopes of
// caps where there are any.  Grid: (tokens, heads).  Block: 256.
extern "C" __global__ void softmax_back(const float* p, float* d, int keys, float factor, const float* slopes) {
    long long first = ((long long)blockIdx.y * gridDim.x + blockIdx.x) * keys;
    double sum = 0;
    for (int j = threadIdx.x; j < keys; j += 256) sum += p[first + j] * d[first + j];
    float mean = (float)block_sum(sum);
    for (int j = threadIdx.x; j < keys; j += 256) {
        // What is not seen has no share, and no slope that was written.
        float share = p[first + j];
        float score = factor * share * (d[first + j] - mean);
        d[first + j] = tensor_precision(slopes && share != 0 ? score * slopes[first + j] : score);
    }
}

// The logarithm of the sum of exp over a row.
DEVICE double log_sum(const float* row, int n) {
    float max = -INFINITY;
    for (int v = threadIdx.x; v < n; v += 256) max = fmaxf(max, row[v]);
    max = block_max(max);
    double sum = 0;
    for (int v = threadIdx.x; v < n; v += 256) sum += expf(row[v] - max);
    return max + log(block_sum(sum));
}

// sums[t] = KL(softmax(f[t]) || softmax(q[t])), both [rows, vocabulary]; if asked for, q becomes factor times its gradient, with
// the bits that products use. Where there is a cap c, both are logits l of which c tanh(l / c) counts.  Grid: rows.  Block: 256.
extern "C" __global__ void divergence(float* f, float* q, int vocabulary, float factor, float cap, int back, double* sums) {
    float* fs = f + (long long)blockIdx.x * vocabulary;
    float* qs = q + (long long)blockIdx.x * vocabulary;
    if (cap != 0) {
        for (int v = threadIdx.x; v < vocabulary; v += 256) {
            fs[v] = cap * tanhf(fs[v] / cap);
            qs[v] = cap * tanhf(qs[v] / cap);
        }
        __syncthreads();
    }
    double f_sum = log_sum(fs, vocabulary), q_sum = log_sum(qs, vocabulary);
    double sum = 0;
    for (int v = threadIdx.x; v < vocabulary; v += 256) {
        double f_log = fs[v] - f_sum, q_log = qs[v] - q_sum;
        float p = expf((float)f_log);
        sum += p * (f_log - q_log);
        float slope = cap != 0 ? 1 - (qs[v] / cap) * (qs[v] / cap) : 1.0f;
        if (back) qs[v] = tensor_precision(factor * slope * (expf((float)q_log) - p));
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
