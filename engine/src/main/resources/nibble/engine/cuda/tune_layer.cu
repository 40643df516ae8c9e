// A decoder layer in fp32, forwards and backwards, but for its products: see nibble.engine.cuda.gradient; the reference backend is the
// specification. Matrices are row-major [rows, columns]. What goes into products is rounded to the bits that they use.
//
// A number that is tuned is start[i] (1 + change[i]); change is null where it is not tuned.

#include "common.cuh"

#define ROWS_PER_PART 128

DEVICE float number(const float* start, const float* change, int i) {
    return change == nullptr ? start[i] : __fmul_rn(start[i], __fadd_rn(1.0f, change[i]));
}

// out[t, j] = source[t, columns[j]], with -1 and -2 as common.cuh has them.  Grid: rows.  Block: 256.
extern "C" __global__ void gather_columns(const float* source, int source_columns, const int* columns, int n, float* out) {
    gather_columns_of(source + (long long)blockIdx.x * source_columns, columns, n, out + (long long)blockIdx.x * n);
}

// --- RMSNorm ------------------------------------------------------------------------------------------------------------

// out[t] = x[t] / sqrt(mean(x[t]^2) + epsilon) gain; out may be x.  Grid: rows.  Block: 256.
extern "C" __global__ void rms_norm(
    const float* x, const float* start, const float* change, float epsilon, int columns, float* out) {
    long long row = (long long)blockIdx.x * columns;
    float squares = 0;
    for (int i = threadIdx.x; i < columns; i += 256) squares += x[row + i] * x[row + i];
    float r = 1.0f / sqrtf(block_sum(squares) / columns + epsilon);
    for (int i = threadIdx.x; i < columns; i += 256) {
        out[row + i] = tensor_precision(x[row + i] * r * number(start, change, i));
    }
}

// sums[t] = {r, r^2 <dy gain, x> / columns} with r = 1 / sqrt(mean(x[t]^2) + epsilon).  Grid: rows.  Block: 256.
extern "C" __global__ void norm_sums(
    const float* x, const float* dy, const float* start, const float* change, float epsilon, int columns, float2* sums) {
    long long row = (long long)blockIdx.x * columns;
    float squares = 0, product = 0;
    for (int i = threadIdx.x; i < columns; i += 256) {
        squares += x[row + i] * x[row + i];
        product += dy[row + i] * number(start, change, i) * x[row + i];
    }
    float r = 1.0f / sqrtf(block_sum(squares) / columns + epsilon);
    product = block_sum(product);
    if (threadIdx.x == 0) sums[blockIdx.x] = make_float2(r, r * r * product / columns);
}

// parts[p, i] = sum over the rows of part p of dy r x.  Grid: (ceil(columns, 256), ceil(rows, ROWS_PER_PART)).  Block: 256.
extern "C" __global__ void gain_parts(
    const float* x, const float* dy, const float2* sums, int rows, int columns, float* parts) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= columns) return;
    int first = blockIdx.y * ROWS_PER_PART, end = min(rows, first + ROWS_PER_PART);
    float sum = 0;
    for (int row = first; row < end; row++) {
        long long at = (long long)row * columns + i;
        sum += dy[at] * sums[row].x * x[at];
    }
    parts[(long long)blockIdx.y * columns + i] = sum;
}

// gradient[i] += sum over parts.  Grid: ceil(columns, 256).  Block: 256.
extern "C" __global__ void gain_sum(const float* parts, int count, int columns, float* gradient) {
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= columns) return;
    float sum = 0;
    for (int p = 0; p < count; p++) sum += parts[(long long)p * columns + i];
    gradient[i] += sum;
}

// dx (+)= r (dy gain - x sums.y); dx may be dy.  Grid: rows.  Block: 256.
extern "C" __global__ void norm_back(
    const float* x, const float* start, const float* change, const float2* sums, int columns, const float* dy, float* dx,
    int accumulate) {
    long long row = (long long)blockIdx.x * columns;
    float2 s = sums[blockIdx.x];
    for (int i = threadIdx.x; i < columns; i += 256) {
        float value = s.x * (dy[row + i] * number(start, change, i) - x[row + i] * s.y);
        dx[row + i] = accumulate ? dx[row + i] + value : value;
    }
}

// --- element by element -------------------------------------------------------------------------------------------------

// Turns elements i and i + half of each head of dim, 2 half of them at most, by the angle of the row's position, first + row % length.
// cos, sin: [positions, half].  Grid: (ceil(columns / 2, 256), rows).  Block: 256.
extern "C" __global__ void rope(
    float* x, int columns, int dim, int half, const float* cos_table, const float* sin_table, int first, int length) {
    int pair = blockIdx.x * 256 + threadIdx.x;
    if (pair >= columns / dim * half) return;
    int i = pair % half;
    float* low = x + (long long)blockIdx.y * columns + (long long)(pair / half) * dim + i;
    long long angle = (long long)(first + (int)(blockIdx.y % length)) * half + i;
    float a = low[0], b = low[half], c = cos_table[angle], s = sin_table[angle];
    low[0] = a * c - b * s;
    low[half] = b * c + a * s;
}

// into[t, c] += bias[c].  Grid: (ceil(columns, 256), rows).  Block: 256.
extern "C" __global__ void add_bias(const float* bias, float* into, int columns) {
    int c = blockIdx.x * 256 + threadIdx.x;
    if (c < columns) into[(long long)blockIdx.y * columns + c] += bias[c];
}

// The following: grid ceil(n, 256), block 256.

extern "C" __global__ void add(const float* x, float* into, long long n) {
    long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n) into[i] += x[i];
}

extern "C" __global__ void cap(float* x, float most, long long n) {
    long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n) x[i] = most * tanhf(x[i] / most);
}

extern "C" __global__ void scale(float* x, float factor, long long n) {
    long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n) x[i] *= factor;
}

extern "C" __global__ void half_to_single(const half_t* from, float* to, long long n) {
    long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n) to[i] = to_float(from[i]);
}

// The sigmoid of z = linear x + cubic x^3: x times it is SiLU with 1 and 0, and GELU's tanh form with 2 sqrt(2 / pi) and 0.044715
// times that.
DEVICE float gate_share(float x, float linear, float cubic) {
    return 1.0f / (1.0f + expf(-(linear * x + cubic * x * x * x)));
}

// out = activation(gate) up; out may be gate or up.
extern "C" __global__ void glu(
    const float* gate, const float* up, float linear, float cubic, float* out, long long n) {
    long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n) out[i] = tensor_precision(gate[i] * gate_share(gate[i], linear, cubic) * up[i]);
}

// d_gate may be d_out.
extern "C" __global__ void glu_back(
    const float* gate, const float* up, const float* d_out, float linear, float cubic, float* d_gate, float* d_up, long long n) {
    long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    float x = gate[i], gradient = d_out[i];
    float share = gate_share(x, linear, cubic);
    float slope = share + x * share * (1.0f - share) * (linear + 3.0f * cubic * x * x);
    d_up[i] = gradient * (x * share);
    d_gate[i] = gradient * up[i] * slope;
}
