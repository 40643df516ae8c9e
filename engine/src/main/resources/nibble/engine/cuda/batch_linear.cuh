// Linears of 1 to 64 rows of activations: out[m, row] = sum over columns of x[m, column] W[row, column], fp16 x, fp32 sums, by
// the tensor cores with the weights as the operand in registers, where they are decoded. A kind of weights (w4_batch.cu,
// block_batch.cu) gives
//
//   BYTES                                        of a unit: a tile of 16 rows by 256 columns
//   X_BYTES                                      of ROWS rows of x, 256 columns, in shared memory
//   BRINGERS                                     warps that bring steps to shared memory
//   STARTED                                      whether products go on after multiply
//   ARRANGED_X                                   whether x comes arranged (arranged.cuh)
//   bring(p, slot, full, ...)                    one step by a warp
//   multiply(sum, slot, release)                 sum[tile][8 rows of x] += weights * x of the slot, by a warp; calls release once the
//                                                products that it found under way are done
//   complete(sum)                                waits for what is under way
//
// A step is CHUNK_TILES tiles by one unit, with the same 256 columns of x. All steps of the matrix, those of the first
// CHUNK_TILES tiles first, are one line that the blocks share out evenly: block b of n takes steps b S / n to (b + 1) S / n.
// Some warps of the block bring steps to a ring of slots, eight multiply. Where several blocks have a part of the columns of a
// chunk, the last of them to finish adds up, in the order of columns.
//
// How the columns of a sum are divided, and the order of every addition, depend on the shape and on the number of blocks. They
// do not depend on the number of rows of x, nor on ROWS, nor on which block is the last.
//
//   grid   blocks: any number, best one a multiprocessor
//   block, slot bytes, tiles of a chunk   exported as ..._launch
//   dynamic shared memory   1024 + slots * (slot bytes + 16)
//   partials   512 * blocks * ROWS * (tiles of a chunk) / 4 bytes   tickets   4 bytes a chunk, zero once; a launch leaves them zero
//
// -DROWS=8, 16, 32, 64 or 128: the most rows of x. -DWARP_TILES=1 or 2: tiles of a warp, an eighth of those of a chunk.

#pragma once
#include "ring.cuh"

#ifndef ROWS
#error "-DROWS is missing"
#endif
#ifndef WARP_TILES
#define WARP_TILES 2
#endif
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define BATCH_WGMMA
#endif
#if !defined(BATCH_WGMMA) || !defined(ARRANGED)
#undef ARRANGED
#define ARRANGED 0
#endif

constexpr int BATCH_WARPS = 8;  // that multiply
constexpr int BATCH_THREADS = 32 * BATCH_WARPS;
constexpr int CHUNK_TILES = BATCH_WARPS * WARP_TILES;
constexpr int CHUNK_ROWS = 16 * CHUNK_TILES;
constexpr int UNIT_COLUMNS = 256;
constexpr int N_TILES = ROWS / 8;
constexpr int SUM_STRIDE = CHUNK_ROWS + 4;  // of sums in shared memory: fragments meet all banks
constexpr int SUM_ROWS = ROWS < 64 ? ROWS : 64;  // of x that sums pass through shared memory for at a time

// Whether a block looks for the others' sums before it gives its own. Measured on an H100: up to 8 rows lose by it.
constexpr bool LOOKS_AHEAD = ROWS > 8;

typedef float BatchSums[WARP_TILES][N_TILES][4];

// The tile of a chunk that a warp has as its i-th: a warpgroup has 64 rows side by side.
DEVICE int tile_of_warp(int i) {
    int warp = threadIdx.x / 32;
    return (warp / 4 * WARP_TILES + i) * 4 + warp % 4;
}

// A part of the matrix that is wanted: rows `offset + i / 8 * spread + i % 8` of it go to column i of out [rows, columns].
struct Part {
    void* out;
    int columns;
    int offset;
};

struct Product {
    Part parts[3];  // without columns where there are fewer
    int spread;
    int single;      // out is fp32, else fp16
    int accumulate;  // out += instead of out =
    const unsigned char* weights;
    const half_t* x;
    float* partials;
    int* tickets;
    int in;
    int tiles;
    int rows;
    int slots;
};

// The steps of the blocks.
struct Share {
    int units, steps, blocks;

    __device__ __forceinline__ int first(int block) const { return (int)((long long)block * steps / blocks); }
    __device__ __forceinline__ int block_of(int step) const { return (int)(((long long)(step + 1) * blocks - 1) / steps); }
};

// Where a lane keeps the sums that a block has of a chunk that begins at a step. A block has sums of two chunks at most that
// others have a part in.
DEVICE float4* partial_of(const Product& p, const Share& share, int block, int chunk_step) {
    long long place = 2ll * block + (share.first(block) < chunk_step);
    return (float4*)p.partials + (place * BATCH_WARPS + threadIdx.x / 32) * (WARP_TILES * N_TILES * 32) + threadIdx.x % 32;
}

#include "batch_sums.cuh"

// --- the kernel -------------------------------------------------------------------------------------------------------

// By one warp: the weights of a step to a slot. Those of tiles that the last chunk lacks stay what they were.
template <class Kind>
DEVICE void bring_weights(const Product& p, u32 slot, u32 full, int chunk, int unit, int units, u64 policy) {
    int lane = threadIdx.x % 32, tiles = min(CHUNK_TILES, p.tiles - chunk * CHUNK_TILES);
    const unsigned char* from = p.weights + ((long long)chunk * CHUNK_TILES * units + unit) * Kind::BYTES;
#if __CUDA_ARCH__ >= 900
    if (lane < tiles) copy_expected(slot + lane * Kind::BYTES, from + (long long)lane * units * Kind::BYTES, Kind::BYTES, full, policy);
#else
    for (int tile = 0; tile < tiles; tile++) {
        for (int at = lane * 16; at < Kind::BYTES; at += 512) {
            copy_async16(slot + tile * Kind::BYTES + at, from + (long long)tile * units * Kind::BYTES + at);
        }
    }
#endif
}

constexpr int round_up(int n, int to) { return (n + to - 1) / to * to; }

template <class Kind>
constexpr int X_AT = round_up(CHUNK_TILES * Kind::BYTES, 1024);  // in a slot
template <class Kind>
constexpr int SLOT_BYTES =
    round_up(X_AT<Kind> + Kind::X_BYTES > SUM_ROWS * SUM_STRIDE * 4 ? X_AT<Kind> + Kind::X_BYTES : SUM_ROWS * SUM_STRIDE * 4, 1024);
#ifdef BATCH_WGMMA
constexpr int BATCH_LAUNCH = BATCH_THREADS + 128;
#else
constexpr int BATCH_LAUNCH = BATCH_THREADS + 32;
#endif

// Whether activations of two steps are on their way to registers, not of one. Measured on an H100: few rows of small matrices gain 4 to
// 7 %, since their blocks have few steps; more rows lose, for want of registers.
constexpr bool FAR_AHEAD = ROWS <= 16 && WARP_TILES == 1 && !ARRANGED;

// Registers go from the warps that bring steps to those that multiply. Of all 384 threads, 64512 are there.
DEVICE void give_registers() {
#ifdef BATCH_WGMMA
    if (ARRANGED) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    } else if (FAR_AHEAD) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 152;");
    } else {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 104;");
    }
#endif
}
DEVICE void take_registers() {
#ifdef BATCH_WGMMA
    if (ARRANGED) {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    } else if (FAR_AHEAD) {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 176;");
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 200;");
    }
#endif
}

template <class Kind>
DEVICE void batch_product(const Product& p) {
    extern __shared__ __align__(128) unsigned char dynamic[];
    unsigned char* shared = dynamic + (0u - shared_address(dynamic)) % 1024;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    Share share;
    share.units = (p.in + UNIT_COLUMNS - 1) / UNIT_COLUMNS;
    share.steps = (p.tiles + CHUNK_TILES - 1) / CHUNK_TILES * share.units;
    share.blocks = gridDim.x;
    int step = share.first(blockIdx.x), end = share.first(blockIdx.x + 1);
    u32 full = shared_address(shared + p.slots * SLOT_BYTES<Kind>), empty = full + p.slots * 8;
    if (threadIdx.x == 0) {
        init_barriers(full, p.slots, Kind::ARRIVALS);
        init_barriers(empty, p.slots, BATCH_WARPS);
    }
    __syncthreads();

    int slot = 0, chunk = step / share.units, unit = step - chunk * share.units;
    u32 parity = 0;
    auto next_slot = [&]() {
        if (++slot == p.slots) slot = 0, parity ^= 1;
    };
    if (warp >= BATCH_WARPS) {
        give_registers();
        if (warp >= BATCH_WARPS + Kind::BRINGERS) return;
        u64 policy = evict_first_policy();
        u32 address = shared_address(shared);
        typename Kind::Ahead even, odd;
        int next_unit = unit;
        auto fetch = [&](typename Kind::Ahead& ahead, int of) {
            if (of < end) Kind::fetch(p, ahead, next_unit);
            if (++next_unit == share.units) next_unit = 0;
        };
        auto bring = [&](typename Kind::Ahead& ahead) {
            if (step >= end) return;
            barrier_wait(empty + slot * 8, parity ^ 1);
            Kind::bring(p, ahead, address + slot * SLOT_BYTES<Kind>, full + slot * 8, chunk, unit, share.units, policy);
            next_slot();
            step++;
            fetch(ahead, step + (FAR_AHEAD ? 1 : 0));
            bool chunk_done = ++unit == share.units;
            if (chunk_done || step == end) {  // a slot that stays empty, for the sums
                barrier_wait(empty + slot * 8, parity ^ 1);
                Kind::arrive(full + slot * 8);
                next_slot();
            }
            if (chunk_done) unit = 0, chunk++;
        };
        fetch(even, step);
        if (FAR_AHEAD) fetch(odd, step + 1);
        while (step < end) {
            bring(even);
            if (FAR_AHEAD) bring(odd);
        }
        return;
    }

    take_registers();
    while (step < end) {
        BatchSums sum = {};
        u32 held = 0;  // barrier of the slot that products under way read
        auto release = [&]() {
            __syncwarp();
            if (held != 0 && lane == 0) barrier_arrive(held);
            held = 0;
        };
        int until = min(end, (chunk + 1) * share.units), taken = 0;
        for (; step < until; step++) {
            barrier_wait(full + slot * 8, parity);
            if (LOOKS_AHEAD && threadIdx.x == 0 && step == until - 1) taken = tickets_taken(p.tickets + chunk);
            Kind::multiply(sum, shared + slot * SLOT_BYTES<Kind>, release);
            held = empty + slot * 8;
            if (!Kind::STARTED) release();
            next_slot();
        }
        Kind::complete(sum);
        if (Kind::STARTED) release();
        if (add_up(p, share, sum, chunk, taken)) {
            barrier_wait(full + slot * 8, parity);
            store_chunk(p, sum, (float*)(shared + slot * SLOT_BYTES<Kind>), chunk);
            fence_async_proxy();
            __syncwarp();
        } else {
            barrier_wait(full + slot * 8, parity);
        }
        if (lane == 0) barrier_arrive(empty + slot * 8);
        next_slot();
        chunk++;
    }
}

#define BATCH_ENTRY(name, kind)                                                                                                  \
    extern "C" __global__ void __launch_bounds__(BATCH_LAUNCH, 1)                                                                \
    name(void* out0, void* out1, void* out2, int columns0, int columns1, int columns2, int offset0, int offset1, int offset2,   \
         int spread, int single, int accumulate, const unsigned char* weights, const half_t* x, float* partials, int* tickets,  \
         int in, int tiles, int rows, int slots) {                                                                              \
        batch_product<kind>(Product{{{out0, columns0, offset0}, {out1, columns1, offset1}, {out2, columns2, offset2}}, spread,  \
                                    single, accumulate, weights, x, partials, tickets, in, tiles, rows, slots});                       \
    }                                                                                                                           \
    /* For the launcher: threads, bytes of a slot, tiles of a chunk, whether x must be arranged. */                             \
    extern "C" __constant__ int name##_launch[4] = {BATCH_LAUNCH, SLOT_BYTES<kind>, CHUNK_TILES, kind::ARRANGED_X};
