// Causal attention by wgmma, for sm_90a and HEAD_DIM up to 128. attention.cu says what is computed.
//
// One producer warpgroup copies keys and values, each consumer warpgroup owns 64 query rows. A consumer starts the product with
// the keys of a step and that with the values of the step before together, and works on the step's softmax under the second.
// (Making consumers take turns in starting products was measured and changed nothing.)
//
// Shared memory: tiles of PANELS panels of 64 columns; a panel's rows are 128 bytes, whose 16-byte units are permuted by
// unit ^ (row % 8), the tensor cores' 128-byte swizzle. Columns from HEAD_DIM on are zero.
//
//   q [PANELS][QUERY_TILE][64] | k [STAGES][PANELS][KEY_TILE][64] | v [STAGES][PANELS][KEY_TILE][64] | barriers

#pragma once

#include "attention_tile.cuh"
#include "wgmma.cuh"

constexpr int CONSUMERS = HEAD_DIM <= 64 ? 3 : 2;
constexpr int THREADS = 128 * (1 + CONSUMERS);
constexpr int BLOCKS_PER_SM = 1;
constexpr int QUERY_TILE = 64 * CONSUMERS;
constexpr int KEY_TILE = 128;
constexpr int STAGES = 2;
constexpr int PANELS = (HEAD_DIM + 63) / 64;
constexpr int COLUMNS = 64 * PANELS;
constexpr int TILE_BYTES = 2 * KEY_TILE * COLUMNS;
constexpr int SHARED_BYTES = 2 * QUERY_TILE * COLUMNS + 2 * STAGES * TILE_BYTES + 64 + 1024;  // 1024 to align the start
constexpr int PRODUCER_REGISTERS = CONSUMERS == 2 ? 40 : 32;
constexpr int CONSUMER_REGISTERS = CONSUMERS == 2 ? 232 : 160;

// Barriers of the tiles, one a stage: full when the producer's four warps have filled it, free when all consumers are done.
struct Barriers {
    u32 base;
    __device__ u32 k_full() const { return base; }
    __device__ u32 k_free() const { return base + 8 * STAGES; }
    __device__ u32 v_full() const { return base + 16 * STAGES; }
    __device__ u32 v_free() const { return base + 24 * STAGES; }
};

DEVICE void barrier_init(u32 barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Once per warp, after all of its lanes are done.
DEVICE void barrier_arrive(u32 barrier) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

DEVICE void barrier_wait(u32 barrier, int parity) {
    u32 done;
    do {
        asm volatile(
            "{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
            : "=r"(done)
            : "r"(barrier), "r"(parity)
            : "memory");
    } while (!done);
}

// A barrier among the threads of one consumer.
DEVICE void consumer_sync(int consumer) { asm volatile("bar.sync %0, 128;" ::"r"(1 + consumer) : "memory"); }

// c[64, 128] = q[64, 16] k[128, 16]^T (+ c if add)
DEVICE void wgmma_keys(float (&c)[16][4], u64 q, u64 k, int add) {
    asm volatile("{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" NAMES_64
                 "}, %64, %65, p, 1, 1, 0, 0;}"
                 : REGISTERS_32(c, 0), REGISTERS_32(c, 8)
                 : "l"(q), "l"(k), "r"(add));
}

// c[64, COLUMNS] += weights[64, 16] v[16, COLUMNS]
DEVICE void wgmma_values(float (&c)[16][4], const u32 (&a)[4], u64 v) {
    asm volatile("{.reg .pred p; setp.ne.b32 p, %69, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" NAMES_64
                 "}, {%64,%65,%66,%67}, %68, p, 1, 1, 1;}"
                 : REGISTERS_32(c, 0), REGISTERS_32(c, 8)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(v), "r"(1));
}

DEVICE void wgmma_values(float (&c)[8][4], const u32 (&a)[4], u64 v) {
    asm volatile("{.reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {" NAMES_32
                 "}, {%32,%33,%34,%35}, %36, p, 1, 1, 1;}"
                 : REGISTERS_32(c, 0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(v), "r"(1));
}

// scores[64, KEY_TILE] = q k^T, started; q, k: descriptors of the tiles.
DEVICE void multiply_keys(float (&scores)[KEY_TILE / 8][4], u64 q, u64 k) {
    pin(scores);
    wgmma_fence();
#pragma unroll
    for (int c = 0; c < COLUMNS / 16; ++c) {
        int panel = c / 4 * 128;
        int unit = c % 4 * 32;
        wgmma_keys(scores, q + (panel * QUERY_TILE + unit) / 16, k + (panel * KEY_TILE + unit) / 16, c > 0);
    }
    wgmma_commit();
}

// sums[64, COLUMNS] += weights v, started; v: the tile's descriptor.
DEVICE void multiply_values(float (&sums)[COLUMNS / 8][4], const u32 (&weights)[KEY_TILE / 16][4], u64 v) {
    pin(sums);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < KEY_TILE / 16; ++i) wgmma_values(sums, weights[i], v + i * 16 * 128 / 16);
    wgmma_commit();
}

// Starts a warpgroup's copy of ROWS rows into a tile of TILE_ROWS; rows from `rows` on become zeros and are not read.
template <int ROWS, int TILE_ROWS>
DEVICE void load_rows(u32 to, const half_t* from, long long row_stride, int rows) {
    constexpr int UNITS = COLUMNS / 8;
    constexpr int STEP = 128 / UNITS;  // a multiple of 8: the swizzle is the same in all rows of a thread
    int thread = threadIdx.x % 128;
    int unit = thread % UNITS;
    int row = thread / UNITS;
    to += unit / 8 * TILE_ROWS * 128 + row * 128 + ((unit % 8 ^ row % 8) << 4);
    const half_t* source = from + row * row_stride + unit * 8;
    if (unit * 8 >= HEAD_DIM) rows = 0;
#pragma unroll
    for (int i = 0; i < ROWS; i += STEP) {
        bool read = row + i < rows;
        copy_async16(to + i * 128, read ? source : from, read ? 16 : 0);
        source += STEP * row_stride;
    }
}

// Copies k0, k1, v0, k2, v1, ...; a tile is declared full once the next one is on its way.
DEVICE void produce(const Tile& tile, long long kv_row_stride, u32 k_tiles, u32 v_tiles, Barriers barriers) {
    u32 copying = 0;  // the barrier of the tile on its way
    auto copy = [&](const half_t* from, u32 tiles, u32 full, u32 free, int step) {
        int stage = step % STAGES;
        if (step >= STAGES) barrier_wait(free + 8 * stage, (step / STAGES - 1) % 2);
        load_rows<KEY_TILE, KEY_TILE>(tiles + stage * TILE_BYTES, from + (long long)step * KEY_TILE * kv_row_stride,
                                      kv_row_stride, tile.visible - step * KEY_TILE);
        copy_async_commit();
        if (copying) {
            copy_async_wait<1>();
            fence_async_proxy();
            barrier_arrive(copying);
        }
        copying = full + 8 * stage;
    };
    int steps = (tile.visible + KEY_TILE - 1) / KEY_TILE;
    for (int step = 0; step <= steps; ++step) {
        if (step < steps) copy(tile.k, k_tiles, barriers.k_full(), barriers.k_free(), step);
        if (step > 0) copy(tile.v, v_tiles, barriers.v_full(), barriers.v_free(), step - 1);
    }
    copy_async_wait<0>();
    fence_async_proxy();
    barrier_arrive(copying);
}

DEVICE void consume(const Tile& tile, long long q_row_stride, long long out_row_stride, u32 q_tile, u32 k_tiles, u32 v_tiles,
                    Barriers barriers, int consumer) {
    u32 q_rows = q_tile + consumer * 64 * 128;
    load_rows<64, QUERY_TILE>(q_rows, tile.q + 64 * consumer * q_row_stride, q_row_stride, tile.query_rows - 64 * consumer);
    copy_async_commit();
    copy_async_wait<0>();
    fence_async_proxy();
    consumer_sync(consumer);

    u64 q_descriptor = tile_descriptor(q_rows, 16);
    u64 k_descriptor = tile_descriptor(k_tiles, 16);
    u64 v_descriptor = tile_descriptor(v_tiles, 128 * KEY_TILE);
    int steps = (tile.visible + KEY_TILE - 1) / KEY_TILE;
    int first_row = 64 * consumer + threadIdx.x / 32 % 4 * 16;
    float sums[COLUMNS / 8][4] = {};
    float scores[KEY_TILE / 8][4];
    u32 weights[KEY_TILE / 16][4];
    float row_max[2] = {MINUS_INFINITY, MINUS_INFINITY};
    float row_sum[2] = {};
    float rescale[2];

    auto weigh = [&](int step) {
        if ((step + 1) * KEY_TILE > tile.first_position + 64 * consumer + 1) {
            mask_future(scores, step * KEY_TILE, tile.first_position + first_row + threadIdx.x % 32 / 4);
        }
        if (HAS_WINDOW) mask_past(scores, step * KEY_TILE, tile.first_position + first_row + threadIdx.x % 32 / 4);
        softmax(scores, row_max, row_sum, rescale);
    };
    auto pack = [&] {
#pragma unroll
        for (int i = 0; i < KEY_TILE / 16; ++i) pack_weights(weights[i], scores, i);
    };

    barrier_wait(barriers.k_full(), 0);
    multiply_keys(scores, q_descriptor, k_descriptor);
    wgmma_wait<0>();
    pin(scores);
    barrier_arrive(barriers.k_free());
    weigh(0);
    pack();
    for (int step = 1; step < steps; ++step) {
        int stage = step % STAGES;
        int previous = (step - 1) % STAGES;
        barrier_wait(barriers.k_full() + 8 * stage, step / STAGES % 2);
        multiply_keys(scores, q_descriptor, k_descriptor + stage * (TILE_BYTES / 16));
        barrier_wait(barriers.v_full() + 8 * previous, (step - 1) / STAGES % 2);
        multiply_values(sums, weights, v_descriptor + previous * (TILE_BYTES / 16));
        wgmma_wait<1>();
        pin(scores);
        barrier_arrive(barriers.k_free() + 8 * stage);
        weigh(step);
        pin(scores);  // the softmax is not to wait for the values
        wgmma_wait<0>();
        pin(sums);
        barrier_arrive(barriers.v_free() + 8 * previous);
        scale_rows(sums, rescale);
        pack();
    }
    int last = (steps - 1) % STAGES;
    barrier_wait(barriers.v_full() + 8 * last, (steps - 1) / STAGES % 2);
    multiply_values(sums, weights, v_descriptor + last * (TILE_BYTES / 16));
    wgmma_wait<0>();
    pin(sums);
    write_rows(tile, out_row_stride, first_row, sums, row_max, row_sum);
}

DEVICE void attend(const Tile& tile, long long q_row_stride, long long kv_row_stride, long long out_row_stride) {
    extern __shared__ __align__(1024) unsigned char shared[];
    u32 q_tile = (shared_address(shared) + 1023) / 1024 * 1024;
    u32 k_tiles = q_tile + 2 * QUERY_TILE * COLUMNS;
    u32 v_tiles = k_tiles + STAGES * TILE_BYTES;
    Barriers barriers = {v_tiles + STAGES * TILE_BYTES};
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; ++stage) {
            barrier_init(barriers.k_full() + 8 * stage, 4);
            barrier_init(barriers.k_free() + 8 * stage, 4 * CONSUMERS);
            barrier_init(barriers.v_full() + 8 * stage, 4);
            barrier_init(barriers.v_free() + 8 * stage, 4 * CONSUMERS);
        }
    }
    __syncthreads();
    int warpgroup = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);  // uniform to the compiler too
    if (warpgroup == 0) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(PRODUCER_REGISTERS));
        produce(tile, kv_row_stride, k_tiles, v_tiles, barriers);
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(CONSUMER_REGISTERS));
        consume(tile, q_row_stride, out_row_stride, q_tile, k_tiles, v_tiles, barriers, warpgroup - 1);
    }
}
