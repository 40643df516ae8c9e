// The linears of decoding as kernels of their own (w4_linear.cu, expert_linear.cu): out[m, row] = sum over columns of x[m, column]
// W[row, column] for m = 0..ROWS-1, ROWS = 1 or a multiple of 8, fp16 x, fp32 sums.
//
// A block owns `tiles_per_block` consecutive tiles of 16 rows. Its 8 warps share out the units of the tiles one by one: unit
// number i (counted through panel, tile, column) belongs to warp i % 8, so that each warp has the same number, whatever the
// shape. Every warp streams its units through its own ring: no warp waits for another except once a tile, when the eight
// partial sums are added in order of the warps and one warp (tile % 8) applies the epilogue.
//
// With more rows than shared memory holds x for, columns are taken in panels: per panel x is loaded anew and sums of the
// block's tiles wait in shared memory.
//
//   grid   ceil(tiles / tiles_per_block), tiles_per_block = ceil(tiles / multiprocessors), tiles = ceil(out / 16)
//   block  256
//   dynamic shared memory, in this order:
//     ring      8 * slots * BYTES               of a unit: W4 see w4.cuh; fp16 2048
//     barriers  64 * slots
//     partial   1024 * ROWS
//     scratch   256
//     x         ROWS * (panel_units * COLUMNS + 32) * 2     the 64 bytes more spread rows over the banks
//     sums      64 * ROWS * tiles_per_block if panels > 1, else 0
//   units = ceil(in / COLUMNS), COLUMNS: W4 256, fp16 64; panels = ceil(units / panel_units)

#pragma once

#ifndef ROWS
#define ROWS 1
#endif
#define WARPS 8
#include "linear_parts.cuh"

struct Linear {
    void* out;
    const unsigned char* weights;
    const half_t* x;        // [ROWS, in]
    int in;
    int out_rows;
    int tiles_per_block;
    int panel_units;
    int slots;
    int rows = ROWS;               // of x that there are
    const int* sources = nullptr;  // the rows of x, null for its first ones
};

// The place of a unit in the order panel, tile of the block, unit of the panel.
struct Cursor {
    int panel, tile, unit;

    // After unit has grown.
    __device__ __forceinline__ void settle(int units, int panel_units, int tiles) {
        int n;
        while (unit >= (n = min(panel_units, units - panel * panel_units)) && n > 0) {
            unit -= n;
            if (++tile == tiles) tile = 0, panel++;
        }
    }
};

template <class Units, bool GATED_ROWS, Epilogue EPILOGUE>
DEVICE void linear(const Linear& p) {
    extern __shared__ __align__(128) unsigned char shared[];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int units = (p.in + Units::COLUMNS - 1) / Units::COLUMNS;
    int panels = (units + p.panel_units - 1) / p.panel_units, panel_columns = p.panel_units * Units::COLUMNS;
    int first_tile = blockIdx.x * p.tiles_per_block;
    int tiles = min(p.tiles_per_block, (p.out_rows + TILE_ROWS - 1) / TILE_ROWS - first_tile);

    unsigned char* slots = shared + warp * p.slots * Units::BYTES;
    unsigned char* after_ring = shared + WARPS * p.slots * Units::BYTES;
    u32 barriers = shared_address(after_ring) + warp * p.slots * 8;
    float* partial = (float*)(after_ring + WARPS * p.slots * 8);
    float* scratch = partial + 2 * WARPS * TILE_ROWS * ROWS;
    half_t* x = (half_t*)(scratch + 64);
    int x_stride = panel_columns + 32;
    float* sums = (float*)(x + ROWS * x_stride);

    WeightMatrix matrix = {p.weights, p.in, p.out_rows, GATED_ROWS ? 8 : 16, GATED_ROWS ? p.out_rows / 2 : 8};
    u64 policy = evict_first_policy();
    if (lane == 0) init_barriers(barriers, p.slots, Units::ARRIVALS);
    __syncwarp();
    Cursor next = {0, 0, warp};
    next.settle(units, p.panel_units, tiles);
    Cursor now = next;
    auto fill_slot = [&](int slot) {
        if (next.panel >= panels) return;
        Units::fill(shared_address(slots) + slot * Units::BYTES, barriers + slot * 8, matrix, first_tile + next.tile,
                    next.panel * p.panel_units + next.unit, policy);
        next.unit += WARPS;
        next.settle(units, p.panel_units, tiles);
    };
    for (int s = 0; s < p.slots; s++) fill_slot(s);

    int slot = 0;
    u32 parity = 0;
    constexpr int EIGHTS = (ROWS + 7) / 8;
    const half_t* lane_x = x + (ROWS == 1 ? 0 : lane / 4) * x_stride + lane % 4 * 8;
    for (int panel = 0; panel < panels; panel++) {
        load_rows(x, p.x, p.in, panel * panel_columns, panel_columns, x_stride, p.rows, p.sources);
        sync_threads<THREADS>();
        for (int tile = 0; tile < tiles; tile++) {
            float residual[OUTPUTS_A_LANE] = {};
            bool finishing = tile % WARPS == warp, last_panel = panel == panels - 1;
            if (EPILOGUE == ADD && finishing && last_panel) load_residual(residual, (const float*)p.out, p.out_rows, first_tile + tile);
            float sum[EIGHTS][4] = {};
            while (now.panel == panel && now.tile == tile) {
                barrier_wait(barriers + slot * 8, parity);
#pragma unroll
                for (int i = 0; i < EIGHTS; i++) {
                    Units::multiply(sum[i], slots + slot * Units::BYTES, lane_x + i * 8 * x_stride + now.unit * Units::COLUMNS);
                }
                __syncwarp();
                fill_slot(slot);
                if (++slot == p.slots) slot = 0, parity ^= 1;
                now.unit += WARPS;
                now.settle(units, p.panel_units, tiles);
            }
            // The buffer was last read, two tiles ago, before the barrier of the tile between.
            float* mine = partial + ((panel * tiles + tile) % 2 * WARPS + warp) * TILE_ROWS * ROWS;
#pragma unroll
            for (int i = 0; i < EIGHTS; i++) publish_sums(mine + i * 8 * TILE_ROWS, sum[i]);
            sync_threads<THREADS>();
            if (finishing) {
                finish_tile<EPILOGUE>(p.out, p.out_rows, mine - warp * TILE_ROWS * ROWS, sums + tile * TILE_ROWS * ROWS, residual,
                                      first_tile + tile, panel == 0, last_panel, p.rows);
            }
        }
    }
}

#define LINEAR_ENTRY(name, units, epilogue)                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                             \
    name(void* out, const unsigned char* weights, const half_t* x, int in, int out_rows, int tiles_per_block,            \
         int panel_units, int slots) {                                                                                   \
        linear<units, false, epilogue>(Linear{out, weights, x, in, out_rows, tiles_per_block, panel_units, slots});      \
    }
