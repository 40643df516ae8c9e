// Products of decode_step.cu, by the warps that compute: the units of a block's tiles come through the warps' rings in turn, and every 8
// tiles the warps' sums meet.

#pragma once
#include "decode_phases.cuh"

// A slot of a warp's ring and how often the ring has come round.
struct Place {
    int slot;
    u32 parity;

    __device__ __forceinline__ void next(int count) {
        if (++slot == count) slot = 0, parity ^= 1;
    }
};

// A warp's own copies of the units of a run.
struct OwnFetch {
    int tile, unit;
    u64 policy;

    template <class Units>
    __device__ __forceinline__ void fill(const Run& run, const Rings& rings, int slot) {
        while (unit >= run.units && tile < run.tiles) unit -= run.units, tile++;
        if (tile >= run.tiles) return;
        Units::fill(rings.slots + slot * UNIT_BYTES, rings.own + slot * 8, run.matrix, run.first_tile + tile, unit, policy);
        unit += WARPS;
    }
};

// A barrier of the whole grid, in two halves.
struct GridBarrier {
    u32* arrived;  // and, next to it, the blocks that have left
    u32 due;

    // What this block has written is there for all ...
    __device__ __forceinline__ void arrive() {
        sync_threads<THREADS>();
        if (threadIdx.x == 0) {  // the fence covers what the other threads wrote before the barrier of the block
            asm volatile("fence.acq_rel.gpu;\nred.relaxed.gpu.global.add.u32 [%0], 1;" ::"l"(arrived) : "memory");
        }
        due += gridDim.x;
    }
    // ... once they return from here.
    __device__ __forceinline__ void wait() {
        if (threadIdx.x == 0) {
            u32 seen;
            do asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(arrived) : "memory");
            while (seen < due);
        }
        sync_threads<THREADS>();
    }
    // By all, after the last wait: as at first.
    __device__ __forceinline__ void leave() {
        if (threadIdx.x == 0 && atomicAdd(arrived + 1, 1u) == gridDim.x - 1) arrived[0] = arrived[1] = 0;
    }
};

// What lasts from phase to phase, of a warp that computes.
struct Block {
    const Rings& rings;
    const unsigned char* shared;
    Place bulk, own;
    int first;  // the next phase's first unit that is the warp's
    float* partial;
    float* scratch;
    half_t* x;
    int turn;  // of the two buffers of partial sums
    GridBarrier grid;
};

// One matrix, as multiply_tiles takes it.
template <class Units>
struct OneMatrix {
    static constexpr bool BULK = Units::BULK;
    const Run& run;
    OwnFetch fetch;

    __device__ __forceinline__ int units() const { return run.units; }
    __device__ __forceinline__ int first_tile() const { return run.first_tile; }
    __device__ __forceinline__ int tiles() const { return run.tiles; }
    __device__ __forceinline__ int rows() const { return run.matrix.rows; }
    __device__ __forceinline__ void fill(const Rings& rings, int slot) { fetch.fill<Units>(run, rings, slot); }
    __device__ __forceinline__ void multiply(float (&sum)[4], const unsigned char* slot, const half_t* x, int unit) const {
        Units::multiply(sum, slot, x + unit * Units::COLUMNS);
    }
};

// f(units of the type of a run).
template <bool IS_HEAD, class F>
DEVICE void with_units_of(const Run& run, F f) {
    if constexpr (IS_HEAD) f(HeadUnits{});
    else with_units(run.type, f);
}

// Fetches the first units, where warps do that themselves.
template <class Source>
DEVICE void begin_fetching(const Block& b, Source& source) {
    if (Source::BULK) return;
    Place place = b.own;
    for (int i = 0; i < b.rings.count; i++, place.next(b.rings.count)) {
        source.fill(b.rings, threadIdx.x / 32 * b.rings.count + place.slot);
    }
}

// What comes before and after a tile that the warp finishes: nothing.
struct Nothing {
    __device__ __forceinline__ void begin(int tile) {}
    __device__ __forceinline__ void end(float value) {}
};

// after: begin(tile) before a tile that the warp finishes, end(row of the tile) after it, by lanes 0 to 15.
template <Epilogue EPILOGUE, class Source, class After>
DEVICE void multiply_tiles(Block& b, Source& source, void* out, After after) {
    int warp = threadIdx.x / 32, first_slot = warp * b.rings.count, first_tile = source.first_tile(), tiles = source.tiles();
    int rows = source.rows(), units = source.units();
    const half_t* lane_x = b.x + threadIdx.x % 4 * 8;
    int unit = b.first;
    for (int batch = 0; batch < tiles; batch += WARPS) {  // each warp finishes one tile of a batch
        float residual[OUTPUTS_A_LANE] = {};
        int batch_end = min(batch + WARPS, tiles), mine = batch + warp;
        if (EPILOGUE == ADD && mine < batch_end) load_residual(residual, (const float*)out, rows, first_tile + mine);
        if (mine < batch_end) after.begin(first_tile + mine);
        float* partial = b.partial + b.turn * WARPS * WARPS * TILE_ROWS;
        b.turn ^= 1;
        for (int tile = batch; tile < batch_end; tile++) {
            float sum[4] = {0, 0, 0, 0};
            for (; unit < units; unit += WARPS) {
                Place& place = Source::BULK ? b.bulk : b.own;
                int slot = first_slot + place.slot;
                barrier_wait((Source::BULK ? b.rings.bulk : b.rings.own) + slot * 8, place.parity);
                source.multiply(sum, b.shared + slot * UNIT_BYTES, lane_x, unit);
                __syncwarp();
                if (!Source::BULK) source.fill(b.rings, slot);
                else if (threadIdx.x % 32 == 0) barrier_arrive(b.rings.used + slot * 8);
                place.next(b.rings.count);
            }
            unit -= units;
            publish_sums(partial + ((tile - batch) * WARPS + warp) * TILE_ROWS, sum);
        }
        // The other buffer is free again: its readers have passed this barrier.
        sync_threads<THREADS>();
        if (mine < batch_end) {
            after.end(finish_tile<EPILOGUE>(out, rows, partial + warp * WARPS * TILE_ROWS, nullptr, residual, first_tile + mine, true, true));
        }
    }
    b.first = unit;
}
