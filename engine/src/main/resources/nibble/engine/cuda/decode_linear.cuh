// What the linears of decoding share (w4_linear.cu, f16_linear.cu): out[m, row] = sum over columns of x[m, column] W[row,
// column] for m = 0..ROWS-1, ROWS = 1..8, fp16 x, fp32 sums.
//
// Weights come as tiles of 16 rows cut into units of some columns. A block owns `tiles_per_block` consecutive tiles. Its 8
// warps share out the units one by one: unit number i (counted through panel, tile, column) belongs to warp i % 8, so that
// each warp has the same number, whatever the shape. Every warp streams its units through its own ring of `slots` slots in
// shared memory and refills a slot as soon as it has used it: no warp waits for another except once a tile, when the eight
// partial sums are added in order of the warps and one warp (tile % 8) applies the epilogue.
//
// With more rows than shared memory holds x for, columns are taken in panels: per panel x is loaded anew and sums of the
// block's tiles wait in shared memory.
//
// Overlap of kernels (sm_90): the ring is filled before wait_for_previous_kernel(), since weights do not depend on it; the
// next kernel is let in when the last load is issued. So it fills its own ring while this one drains: device memory never
// idles, as long as two blocks fit on a multiprocessor together.
//
//   grid   ceil(tiles / tiles_per_block), tiles_per_block = ceil(tiles / multiprocessors), tiles = ceil(out / 16)
//   block  256
//   dynamic shared memory, in this order:
//     ring      8 * slots * SLOT_BYTES          W4: the unit's bytes; fp16: 4096
//     barriers  64 * slots
//     partial   1024 * ROWS
//     scratch   256
//     x         ROWS * (panel_units * UNIT_COLUMNS + 32) * 2     the 64 bytes more spread rows over the banks
//     sums      64 * ROWS * tiles_per_block if panels > 1, else 0
//   panels = ceil(units / panel_units), units = ceil(in / UNIT_COLUMNS); 1 where the input is normalized here.

#pragma once
#include "common.cuh"

#ifndef ROWS
#define ROWS 1
#endif

constexpr int WARPS = 8;
constexpr int THREADS = 32 * WARPS;
constexpr int TILE_ROWS = 16;
constexpr int MAX_NORM_VECTORS = 16;  // of 4 values a thread: at most 16384 columns where the input is normalized here

enum Input { PLAIN, NORMALIZED };
enum Epilogue { STORE, STORE_FLOAT, ADD, SWIGLU };

struct Linear {
    void* out;              // STORE, SWIGLU: fp16; STORE_FLOAT, ADD: fp32. [ROWS, out_rows], SWIGLU [ROWS, out_rows / 2]
    const unsigned char* weights;
    const void* x;          // PLAIN: fp16 [ROWS, in]; NORMALIZED: fp32 [ROWS, in]
    const half_t* norm;     // NORMALIZED: fp16 [in]
    float epsilon;
    int in;
    int out_rows;
    int tiles_per_block;
    int panel_units;
    int slots;
};

// --- a ring of slots, private to a warp ---------------------------------------------------------------------------------

DEVICE u64 evict_first_policy() {  // weights are read once a token: they must not push activations out of the L2
    u64 policy;
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}

DEVICE void barrier_init(u32 barrier, int arrivals) {
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

DEVICE void barrier_wait(u32 barrier, u32 parity) {
#if __CUDA_ARCH__ >= 900
    asm volatile(
        "{\n.reg .pred done;\nagain:\nmbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n@!done bra again;\n}" ::"r"(barrier),
        "r"(parity)
        : "memory");
#else
    u32 done = 0;
    while (!done) {
        asm volatile(
            "{\n.reg .pred done;\nmbarrier.test_wait.parity.shared.b64 done, [%1], %2;\nselp.u32 %0, 1, 0, done;\n}"
            : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
    }
#endif
}

// Each lane of the warp has issued its copies into the slot; the barrier counts 32 arrivals.
DEVICE void arrive_when_copied(u32 barrier) {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(barrier) : "memory");
}

DEVICE void copy_async16_once(u32 to, const void* from, int source_bytes, u64 policy) {
    asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;" ::"r"(to), "l"(from), "r"(source_bytes),
                 "l"(policy)
                 : "memory");
}

#if __CUDA_ARCH__ >= 900
// One lane copies `bytes` (a multiple of 16); the barrier counts 1 arrival.
DEVICE void copy_bulk_once(u32 to, const void* from, u32 bytes, u32 barrier, u64 policy) {
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(to),
        "l"(from), "r"(bytes), "r"(barrier), "l"(policy)
        : "memory");
}
#endif

// The place of a unit in the order panel, tile of the block, unit of the panel.
struct Cursor {
    int panel, tile, unit;

    __device__ __forceinline__ int units_of_panel(int units, int panel_units) const {
        return min(panel_units, units - panel * panel_units);
    }
    __device__ __forceinline__ void settle(int units, int panel_units, int tiles) {  // after unit has grown
        int n;
        while (unit >= (n = units_of_panel(units, panel_units)) && n > 0) {
            unit -= n;
            if (++tile == tiles) tile = 0, panel++;
        }
    }
};

// --- input ----------------------------------------------------------------------------------------------------------

// x[m, from .. from + columns) to shared memory; columns from `in` up are zero.
DEVICE void load_rows(half_t* x, const half_t* input, int in, int from, int columns, int stride) {
    for (int m = 0; m < ROWS; m++) {
        for (int c = threadIdx.x * 8; c < columns; c += THREADS * 8) {
            bool inside = from + c < in;
            copy_async16(shared_address(x + m * stride + c), input + (long long)m * in + (inside ? from + c : 0), inside ? 16 : 0);
        }
    }
    copy_async_commit();
    copy_async_wait<0>();
}

// The weights of the norm wait in row 0 of x: they do not depend on the kernel before, so are fetched early.
DEVICE void load_norm(half_t* x, const Linear& p) {
    for (int c = threadIdx.x * 8; c < p.in; c += THREADS * 8) copy_async16(shared_address(x + c), p.norm + c);
    copy_async_commit();
}

// x[m, c] = fp16(h[m, c] / sqrt(mean over c of h[m, c]^2 + epsilon) * norm[c]); the mean in fp32, in a fixed order. Row 0 is
// written last; each thread overwrites the norm's weights that it alone reads.
DEVICE void normalize_rows(half_t* x, float* scratch, const Linear& p, int columns, int stride) {
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (int m = ROWS - 1; m >= 0; m--) {
        const float* h = (const float*)p.x + (long long)m * p.in;
        float4 values[MAX_NORM_VECTORS];
        float squares = 0;
#pragma unroll
        for (int i = 0; i < MAX_NORM_VECTORS; i++) {
            int c = (i * THREADS + threadIdx.x) * 4;
            values[i] = c < p.in ? *(const float4*)(h + c) : make_float4(0, 0, 0, 0);
        }
#pragma unroll
        for (int i = 0; i < MAX_NORM_VECTORS; i++) {
            float4 v = values[i];
            squares += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
        }
        squares = warp_sum(squares);
        if (lane == 0) scratch[m * WARPS + warp] = squares;
        copy_async_wait<0>();
        __syncthreads();
        squares = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w++) squares += scratch[m * WARPS + w];
        float inverse = 1.0f / sqrtf(squares / (float)p.in + p.epsilon);
#pragma unroll
        for (int i = 0; i < MAX_NORM_VECTORS; i++) {
            int c = (i * THREADS + threadIdx.x) * 4;
            if (c >= p.in) break;
            float4 v = values[i];
            uint2 w = *(const uint2*)(x + c);
            *(uint2*)(x + m * stride + c) =
                make_uint2(pack_half2(v.x * inverse * low_half(w.x), v.y * inverse * high_half(w.x)),
                           pack_half2(v.z * inverse * low_half(w.y), v.w * inverse * high_half(w.y)));
        }
        for (int c = p.in + threadIdx.x * 8; c < columns; c += THREADS * 8) *(uint4*)(x + m * stride + c) = make_uint4(0, 0, 0, 0);
    }
}

// --- epilogue -------------------------------------------------------------------------------------------------------

constexpr int OUTPUTS_A_LANE = (TILE_ROWS * ROWS + 31) / 32;

// What ADD adds to, fetched while the warps still compute. Output i of a lane: m = v / 16, row v % 16 of the tile, v = 32 i + lane.
DEVICE void load_residual(float (&residual)[OUTPUTS_A_LANE], const Linear& p, int tile) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < OUTPUTS_A_LANE; i++) {
        int v = i * 32 + lane, row = tile * TILE_ROWS + v % TILE_ROWS;
        residual[i] = v < TILE_ROWS * ROWS && row < p.out_rows ? ((const float*)p.out)[(long long)(v / TILE_ROWS) * p.out_rows + row] : 0;
    }
}

template <Epilogue EPILOGUE>
DEVICE void finish_tile(const Linear& p, const float* partial, float* sums, const float (&residual)[OUTPUTS_A_LANE], int tile,
                        bool first_panel, bool last_panel) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < OUTPUTS_A_LANE; i++) {
        int v = i * 32 + lane;
        bool valid = v < TILE_ROWS * ROWS;
        float sum = valid && !first_panel ? sums[v] : 0;
        if (valid) {
#pragma unroll
            for (int w = 0; w < WARPS; w++) sum += partial[w * TILE_ROWS * ROWS + v];
        }
        if (!last_panel) {
            if (valid) sums[v] = sum;
            continue;
        }
        int m = v / TILE_ROWS, r = v % TILE_ROWS, row = tile * TILE_ROWS + r;
        long long at = (long long)m * p.out_rows + row;
        valid = valid && row < p.out_rows;
        if (EPILOGUE == SWIGLU) {
            float up = __shfl_down_sync(0xffffffffu, sum, 8);
            valid = valid && r < 8;
            at = (long long)m * (p.out_rows / 2) + tile * 8 + r;
            if (valid) ((half_t*)p.out)[at] = to_half(sum / (1.0f + __expf(-sum)) * up);
        } else if (valid) {
            if (EPILOGUE == STORE) ((half_t*)p.out)[at] = to_half(sum);
            if (EPILOGUE == STORE_FLOAT) ((float*)p.out)[at] = sum;
            if (EPILOGUE == ADD) ((float*)p.out)[at] = residual[i] + sum;
        }
    }
}

// --- the whole -------------------------------------------------------------------------------------------------------

// Weights: UNIT_COLUMNS, SLOT_BYTES, ARRIVALS; fill(slot, barrier, tile, unit) starts the copy of a unit, by a whole warp;
// multiply(sum, slot, x) adds unit * x to sum, x being the lane's: column 8 t of the unit, row min(r, ROWS - 1).
template <class Weights, Input INPUT, Epilogue EPILOGUE>
DEVICE void linear(const Linear& p) {
    extern __shared__ __align__(128) unsigned char shared[];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, r = lane / 4, t = lane % 4;
    int units = (p.in + Weights::UNIT_COLUMNS - 1) / Weights::UNIT_COLUMNS;
    int panels = (units + p.panel_units - 1) / p.panel_units, panel_columns = p.panel_units * Weights::UNIT_COLUMNS;
    int first_tile = blockIdx.x * p.tiles_per_block;
    int tiles = min(p.tiles_per_block, (p.out_rows + TILE_ROWS - 1) / TILE_ROWS - first_tile);

    unsigned char* after_ring = shared + WARPS * p.slots * Weights::SLOT_BYTES;
    float* partial = (float*)(after_ring + WARPS * p.slots * 8);
    float* scratch = partial + 2 * WARPS * TILE_ROWS * ROWS;
    half_t* x = (half_t*)(scratch + 64);
    int x_stride = panel_columns + 32;
    float* sums = (float*)(x + ROWS * x_stride);
    u32 ring = shared_address(shared) + warp * p.slots * Weights::SLOT_BYTES;
    u32 barriers = shared_address(after_ring) + warp * p.slots * 8;

    // Fill the ring.
    Weights weights(p, lane);
    if (lane == 0) {
        for (int s = 0; s < p.slots; s++) barrier_init(barriers + s * 8, Weights::ARRIVALS);
#if __CUDA_ARCH__ >= 900
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
    }
    __syncwarp();
    Cursor next = {0, 0, warp};
    next.settle(units, p.panel_units, tiles);
    Cursor now = next;
    auto fill_slot = [&](int slot) {
        if (next.panel < panels) {
            weights.fill(ring + slot * Weights::SLOT_BYTES, barriers + slot * 8, first_tile + next.tile,
                         next.panel * p.panel_units + next.unit);
            next.unit += WARPS;
            next.settle(units, p.panel_units, tiles);
            if (next.panel >= panels) let_next_kernel_start();
        }
    };
    for (int s = 0; s < p.slots; s++) fill_slot(s);

    if (INPUT == NORMALIZED) load_norm(x, p);
    wait_for_previous_kernel();

    int slot = 0;
    u32 parity = 0;
    const half_t* lane_x = x + (ROWS == 1 ? 0 : min(r, ROWS - 1)) * x_stride + t * 8;
    for (int panel = 0; panel < panels; panel++) {
        if (INPUT == NORMALIZED) normalize_rows(x, scratch, p, panel_columns, x_stride);
        else load_rows(x, (const half_t*)p.x, p.in, panel * panel_columns, panel_columns, x_stride);
        __syncthreads();
        for (int tile = 0; tile < tiles; tile++) {
            float residual[OUTPUTS_A_LANE] = {};
            bool finishing = tile % WARPS == warp, last_panel = panel == panels - 1;
            if (EPILOGUE == ADD && finishing && last_panel) load_residual(residual, p, first_tile + tile);
            float sum[4] = {0, 0, 0, 0};
            while (now.panel == panel && now.tile == tile) {
                barrier_wait(barriers + slot * 8, parity);
                weights.multiply(sum, shared + (ring - shared_address(shared)) + slot * Weights::SLOT_BYTES,
                                 lane_x + now.unit * Weights::UNIT_COLUMNS);
                __syncwarp();
                fill_slot(slot);
                if (++slot == p.slots) slot = 0, parity ^= 1;
                now.unit += WARPS;
                now.settle(units, p.panel_units, tiles);
            }
            // The buffer was last read, two tiles ago, before the barrier of the tile between.
            float* mine = partial + ((panel * tiles + tile) % 2 * WARPS + warp) * TILE_ROWS * ROWS;
            if (ROWS == 1) {  // all columns of the product are the same
                if (t == 0) mine[r] = sum[0], mine[r + 8] = sum[2];
            } else {
                if (2 * t < ROWS) mine[2 * t * TILE_ROWS + r] = sum[0], mine[2 * t * TILE_ROWS + r + 8] = sum[2];
                if (2 * t + 1 < ROWS) mine[(2 * t + 1) * TILE_ROWS + r] = sum[1], mine[(2 * t + 1) * TILE_ROWS + r + 8] = sum[3];
            }
            __syncthreads();
            if (finishing) {
                finish_tile<EPILOGUE>(p, mine - warp * TILE_ROWS * ROWS, sums + tile * TILE_ROWS * ROWS, residual,
                                      first_tile + tile, panel == 0, last_panel);
            }
        }
    }
}

#define LINEAR_ENTRY(name, weights_class, input, epilogue)                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS, 2)                                                                   \
    name(void* out, const unsigned char* weights, const void* x, const half_t* norm, float epsilon, int in, int out_rows,      \
         int tiles_per_block, int panel_units, int slots) {                                                                    \
        linear<weights_class, input, epilogue>(                                                                                \
            Linear{out, weights, x, norm, epsilon, in, out_rows, tiles_per_block, panel_units, slots});                        \
    }
