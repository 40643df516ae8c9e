// The moment of a fit and its factor. See nibble.engine.cuda.fit; nibble.engine.host.fit is the specification.
//
// C [n, n] is fp32. H = C + damping is factorized as D L L' D with ones on the diagonal of L L': so fp32 loses nothing that counts
// (MomentFactor). Columns are in the reversed order of their activation: the most active one comes last.

#include "common.cuh"

#define BLOCK 128
#define STRIDE 129
#define SMALLEST 1.17549435e-38f

// In place: c[i, j] *= factors[i] factors[j] mean, both triangles from the one right of the diagonal. factors: [n] or null for ones.
// Grid: (ceil(n, 32), ceil(n, 32)).  Block: 256; a tile of 32 x 32.
extern "C" __global__ void moment_in_basis(float* c, const float* factors, float mean, int n) {
    __shared__ float tile[32][33];
    if (blockIdx.x < blockIdx.y) return;
    int x = threadIdx.x % 32;
    for (int y = threadIdx.x / 32; y < 32; y += 8) {
        int i = blockIdx.y * 32 + y, j = blockIdx.x * 32 + x;
        if (i <= j && j < n) {
            float factor = factors ? factors[i] * factors[j] : 1.0f;
            float value = c[(long long)i * n + j] * factor * mean;
            tile[y][x] = value;
            c[(long long)i * n + j] = value;
        }
    }
    __syncthreads();
    for (int y = threadIdx.x / 32; y < 32; y += 8) {
        int i = blockIdx.x * 32 + y, j = blockIdx.y * 32 + x;
        if (j < i && i < n) c[(long long)i * n + j] = tile[x][y];
    }
}

// Grid: ceil(n, 256).  Block: 256.
extern "C" __global__ void diagonal(const float* c, int n, float* d) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i < n) d[i] = c[(long long)i * n + i];
}

// C as the tensor cores take it: 11 bits, rounded to nearest, where they would cut off; its diagonal grows by a share before.
// Grid: (ceil(n, 1024), n).  Block: 256.
extern "C" __global__ void to_tensor_precision(float* c, float ridge, int n) {
    float* row = c + (long long)blockIdx.y * n;
    for (int j = blockIdx.x * 1024 + threadIdx.x; j < min(n, (int)(blockIdx.x + 1) * 1024); j += 256) {
        row[j] = tensor_precision(j == (int)blockIdx.y ? row[j] + ridge * row[j] : row[j]);
    }
}

// a[i, j] = c[order[i], order[j]] inverse[i] inverse[j] for j < i, and 1 for j = i.  Grid: n.  Block: 256.
extern "C" __global__ void damped(const float* c, const int* order, const float* inverse, int n, float* a) {
    int i = blockIdx.x;
    const float* from = c + (long long)order[i] * n;
    float* to = a + (long long)i * n;
    float scale = inverse[i];
    for (int j = threadIdx.x; j <= i; j += 256) to[j] = j == i ? 1.0f : from[order[j]] * scale * inverse[j];
}

// Factorizes a diagonal block [count, count] of a, and inverts the factor: inverse [BLOCK, BLOCK], lower, row-major, zeros elsewhere.
// The shared tile has L on and left of the diagonal; its inverse, transposed, right of it.  Grid: 1.  Block: 512.
extern "C" __global__ void factor_block(float* a, int n, int first, int count, float* inverse) {
    extern __shared__ float tile[];  // BLOCK * STRIDE
    int thread = threadIdx.x;
    float* block = a + (long long)first * n + first;
    for (int at = thread; at < count * count; at += 512) {
        int i = at / count, j = at % count;
        if (j <= i) tile[i * STRIDE + j] = block[(long long)i * n + j];
    }
    __syncthreads();
    for (int k = 0; k < count; k++) {
        // Damping keeps it above 0 in exact arithmetic; rounding is far below the damping.
        float pivot = sqrtf(fmaxf(tile[k * STRIDE + k], SMALLEST));
        __syncthreads();
        int i = k + thread;
        if (i < count) tile[i * STRIDE + k] = thread == 0 ? pivot : tile[i * STRIDE + k] / pivot;
        __syncthreads();
        int j = thread % BLOCK;
        if (j > k && j < count) {
            float factor = tile[j * STRIDE + k];
            for (int row = j + thread / BLOCK; row < count; row += 4) tile[row * STRIDE + j] -= tile[row * STRIDE + k] * factor;
        }
        __syncthreads();
    }
    int j = thread;
    if (j < count) {
        for (int i = 0; i < count; i++) {
            float sum = i == j ? 1.0f : 0.0f;
            for (int k = 0; k < i; k++) {
                if (k >= j) sum -= tile[i * STRIDE + k] * tile[j * STRIDE + k + 1];
            }
            if (i >= j) tile[j * STRIDE + i + 1] = sum / tile[i * STRIDE + i];
        }
    }
    __syncthreads();
    for (int at = thread; at < count * count; at += 512) {
        int i = at / count, c = at % count;
        if (c <= i) block[(long long)i * n + c] = tile[i * STRIDE + c];
    }
    for (int at = thread; at < BLOCK * BLOCK; at += 512) {
        int i = at / BLOCK, c = at % BLOCK;
        inverse[at] = i < count && c <= i ? tile[c * STRIDE + i + 1] : 0.0f;
    }
}

// to[row, j] = from[row, j] for j < columns.  Grid: (ceil(columns, 256), rows).  Block: 256.
extern "C" __global__ void copy_columns(const float* from, int from_stride, float* to, int to_stride, int columns) {
    int j = blockIdx.x * 256 + threadIdx.x;
    if (j < columns) to[(long long)blockIdx.y * to_stride + j] = from[(long long)blockIdx.y * from_stride + j];
}

// to[row, i] = from[row, order[i]] factors[i].  Grid: (ceil(n, 256), rows).  Block: 256.
extern "C" __global__ void gather_columns(const float* from, const int* order, const float* factors, int n, float* to) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    long long row = (long long)blockIdx.y * n;
    to[row + i] = from[row + order[i]] * factors[i];
}

// to[row, order[i]] += (share_a a[row, i] + share_b b[row, i]) factors[i].  Grid: (ceil(n, 256), rows).  Block: 256.
extern "C" __global__ void add_scattered(
    const float* a, const float* b, float share_a, float share_b, const int* order, const float* factors, int n, float* to) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    long long row = (long long)blockIdx.y * n;
    to[row + order[i]] += (share_a * a[row + i] + share_b * b[row + i]) * factors[i];
}

// sums[row] = sum over i of a[row, i] b[row, i] weights[i]; weights: [n] or null for ones.  Grid: rows.  Block: 256.
extern "C" __global__ void dot_rows(const float* a, const float* b, const float* weights, int n, double* sums) {
    __shared__ double parts[8];
    long long row = (long long)blockIdx.x * n;
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += 256) sum += (double)(a[row + i] * (weights ? weights[i] : 1.0f)) * b[row + i];
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, d);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        double all = 0;
        for (int i = 0; i < 8; i++) all += parts[i];
        sums[blockIdx.x] = all;
    }
}
