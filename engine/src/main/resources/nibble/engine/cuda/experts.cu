// Rows on their way to the experts that a router chose, and back. Matrices are row-major [rows, columns] of fp16; sums are fp32.

#include "common.cuh"

// out[i] = source[rows[i]].  Grid: rows.  Block: 128.
extern "C" __global__ void gather(const half_t* source, const int* rows, int columns, half_t* out) {
    copy_row(source + (long long)rows[blockIdx.x] * columns, out + (long long)blockIdx.x * columns, columns);
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

constexpr int MOST_EXPERTS = 256;
constexpr int MOST_CHOSEN = 32;

// Chooses the experts of each row by the router's logits [rows, count]: those with the best scores, of equal ones the first, in order of
// their numbers. choices i32 [rows, chosen]; weights f32 [rows, chosen], of which sum_of_one says whether their sum is 1; shares f32
// [rows]: the sigmoids of gates f32 [rows], or 1 where that is null.  Grid: rows.  Block: 256.
extern "C" __global__ void choose_experts(const float* logits, const float* gates, int count, int chosen, int sum_of_one, int* choices,
                                          float* weights, float* shares) {
    __shared__ float scores[MOST_EXPERTS];
    __shared__ u32 masks[MOST_EXPERTS / 32];
    __shared__ int list[MOST_CHOSEN];
    int row = blockIdx.x, e = threadIdx.x, lane = e % 32;
    if (e < count) scores[e] = logits[(long long)row * count + e];
    __syncthreads();
    int before = 0;
    float mine = e < count ? scores[e] : 0;
    for (int i = 0; i < count; i++) before += scores[i] > mine || (scores[i] == mine && i < e);
    bool among = e < count && before < chosen;
    u32 mask = __ballot_sync(0xffffffffu, among);
    if (lane == 0) masks[e / 32] = mask;
    __syncthreads();
    int place = __popc(mask & ((1u << lane) - 1));
    for (int i = 0; i < e / 32; i++) place += __popc(masks[i]);
    // With logits that are no numbers there may be more.
    if (among && place < chosen) list[place] = e, choices[row * chosen + place] = e;
    __syncthreads();
    if (e >= 32) return;
    float logit = lane < chosen ? scores[list[lane]] : -INFINITY, most = warp_max(logit), share = lane < chosen ? expf(logit - most) : 0;
    float sum = share;
    if (!sum_of_one) {
        sum = 0;
        for (int i = lane; i < count; i += 32) sum += expf(scores[i] - most);
    }
    sum = warp_sum(sum);
    if (lane < chosen) weights[row * chosen + lane] = share / sum;
    if (lane == 0) shares[row] = gates ? 1.0f / (1.0f + expf(-gates[row])) : 1.0f;
}

// A product of an expert with some rows that chose it.
struct Pass {
    int expert, first, rows, unused;
};

// Brings the choices of the same expert together. places i32 [choices]: where a choice stands then; sources i32 [choices]: its row;
// passes: first their number, as the expert of one that is none; then products of at most `most` rows each.  Grid: 1.  Block: 256.
extern "C" __global__ void group_choices(const int* choices, int number, int chosen, int most, int* places, int* sources, Pass* passes) {
    __shared__ int counts[MOST_EXPERTS];
    __shared__ int totals[8];
    int e = threadIdx.x, lane = e % 32;
    counts[e] = 0;
    __syncthreads();
    for (int i = e; i < number; i += 256) places[i] = atomicAdd(&counts[choices[i]], 1);
    __syncthreads();
    // Rows of the experts before this one in the low half, passes in the high half.
    int rows = counts[e], own = rows | (rows + most - 1) / most << 16, sum = own;
#pragma unroll
    for (int d = 1; d < 32; d <<= 1) {
        int from = __shfl_up_sync(0xffffffffu, sum, d);
        if (lane >= d) sum += from;
    }
    if (lane == 31) totals[e / 32] = sum;
    __syncthreads();
    for (int w = 0; w < e / 32; w++) sum += totals[w];
    int first = (sum - own) & 0xffff, pass = (sum - own) >> 16;
    for (int done = 0; done < rows; done += most) passes[1 + pass++] = {e, first + done, min(most, rows - done), 0};
    if (e == 255) passes[0].expert = sum >> 16;
    counts[e] = first;
    __syncthreads();
    for (int i = e; i < number; i += 256) {
        int place = counts[choices[i]] + places[i];
        places[i] = place;
        sources[place] = i / chosen;
    }
}
