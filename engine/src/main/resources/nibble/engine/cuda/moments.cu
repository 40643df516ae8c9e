// Statistics of the inputs x of linears: C = sum of x x' and the sums of |x|. C [n, n] is fp32 and only its rows from the diagonal
// strip on are made: row i has columns i / STRIP * STRIP to n. See nibble.engine.cuda.CudaInputStatistics.
//
// -DSTRIP=2048

#include "common.cuh"

// parts[chunk, j] = sum over the chunk's rows of |x[row, j]|.  Grid: (ceil(n, 256), ceil(rows, chunk_rows)).  Block: 256.
extern "C" __global__ void absolute_parts(const half_t* x, int rows, int n, int chunk_rows, double* parts) {
    int j = blockIdx.x * 256 + threadIdx.x;
    if (j >= n) return;
    int last = min(rows, (int)(blockIdx.y + 1) * chunk_rows);
    float sum = 0.0f;
    for (int row = blockIdx.y * chunk_rows; row < last; row++) sum += fabsf(to_float(x[(long long)row * n + j]));
    parts[(long long)blockIdx.y * n + j] = (double)sum;
}

// sums[j] (+)= parts[0, j] + parts[1, j] + ... in this order.  Grid: ceil(n, 256).  Block: 256.
extern "C" __global__ void add_parts(const double* parts, int chunks, int n, double* sums, int accumulate) {
    int j = blockIdx.x * 256 + threadIdx.x;
    if (j >= n) return;
    double sum = accumulate ? sums[j] : 0.0;
    for (int chunk = 0; chunk < chunks; chunk++) sum += parts[(long long)chunk * n + j];
    sums[j] = sum;
}

// sum += part, where rows have columns; part begins with row first_row.  Grid: (ceil(n, 1024), rows of part).  Block: 256.
extern "C" __global__ void add_moment(float* sum, const float* part, int n, int first_row) {
    int row = first_row + blockIdx.y;
    int from = blockIdx.x * 1024;
    int first = row / STRIP * STRIP;
    if (from + 1024 <= first) return;
    long long base = (long long)row * n, of_part = (long long)blockIdx.y * n;
    for (int j = from + threadIdx.x; j < min(n, from + 1024); j += 256) {
        if (j >= first) sum[base + j] += part[of_part + j];
    }
}

// d[i] = sqrt(C[i, i]), and its inverse, 0 for a channel that never was active.  Grid: ceil(n, 256).  Block: 256.
extern "C" __global__ void deviations(const float* c, int n, float* d, float* inverse) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    float deviation = sqrtf(fmaxf(c[(long long)i * n + i], 0.0f));
    d[i] = deviation;
    inverse[i] = deviation > 0.0f ? 1.0f / deviation : 0.0f;
}

// The correlations [n, n] in fp16, as rows up to the end of their diagonal strip: those before the strip twice as large, so that
// e C e' is the sum over strips of (e[.. end] r[strip, .. end]') e[strip].
// Grid: (ceil(n, 32), ceil(n, 32)).  Block: 256; a tile of 32 x 32.
extern "C" __global__ void correlations(const float* c, const float* inverse, int n, half_t* r) {
    __shared__ float tile[32][33];
    int row = blockIdx.y * 32, column = blockIdx.x * 32;
    int strip = row / STRIP * STRIP;
    if (column >= strip + STRIP) return;
    bool before = column < strip;  // C has it as [column, row]
    int x = threadIdx.x % 32;
    for (int y = threadIdx.x / 32; y < 32; y += 8) {
        int i = before ? column + y : row + y;
        int j = before ? row + x : column + x;
        float value = i < n && j < n ? c[(long long)i * n + j] * inverse[i] * inverse[j] : 0.0f;
        if (before) {
            tile[x][y] = 2.0f * value;
        } else {
            tile[y][x] = value;
        }
    }
    __syncthreads();
    for (int y = threadIdx.x / 32; y < 32; y += 8) {
        if (row + y < n && column + x < n) r[(long long)(row + y) * n + column + x] = to_half(tile[y][x]);
    }
}
