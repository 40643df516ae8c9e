// One token through a whole model, in one launch: embedding, all layers, logits.
//
//   h = embedding[token]
//   for each layer:   qkv      = W_qkv rms(h)                     h: fp32 residual stream; rms(h) = fp16(h / rms * norm)
//                     attended = attention(qkv, cache)
//                     h       += W_o attended
//                     gated    = silu(W_gate rms(h)) * (W_up rms(h))
//                     h       += W_down gated
//   logits = W_head rms(h)
//
// With one row of input, weights are all there is to read: the step takes as long as memory takes to deliver them, if memory
// never waits. One block per multiprocessor stays for the whole step. Where units are bulk copies (4-bit, sm_90), its ninth warp
// fetches the block's units of all matrices, in the order of the step, into rings that take all shared memory there is: lane i
// keeps the ring of warp i full. As weights depend on nothing, it fetches on across the barriers of the grid between the phases
// above, while blocks wait for each other, exchange activations and attend. It keeps at most WINDOW units a warp under way: more
// would not come sooner, but activations would queue behind them. Other units a warp fetches itself, beginning before the
// barrier ahead of a phase.
//
// In each phase a block owns a run of ceil(tiles / blocks) tiles of 16 rows. The units of its runs, numbered through the whole
// step, go to the 8 warps that compute in turn. Every 8 tiles their partial sums meet: warp i adds those of tile i in order of
// the warps and applies the epilogue. All orders are fixed, so results are the same from run to run.
//
//   layers     [layer_count] of Layer, in device memory
//   step       i32 [2] = {token, position} in device memory
//   hidden_state f32 [hidden], qkv f16 [(heads + 2 kv_heads) d], attended f16 [heads d], gated f16 [mlp], logits f32 [vocab]
//   partials f32 [heads, splits, d + 2], tickets u32 [kv_heads ceil(G / 16)], barrier u32 [2]; the last two zero before the first
//   launch and left at zero
//   grid       multiprocessors, launched as a cooperative kernel (all blocks must be resident); block 288
//   dynamic shared memory, in this order:
//     ring      8 * slots * UNIT_BYTES           4-bit: see w4.cuh; fp16: 2048
//     barriers  256 * slots
//     partial   8192
//     scratch   256
//     layers    64 * layer_count
//     x         the larger of 2 * (P + 32), P = the largest of hidden, heads d and mlp rounded up to 256, and ATTENTION_BYTES
//   slots      as many as fit the device's limit for a block less 256 bytes, at least 1
// -DHEAD_DIM, -DQUERIES_PER_KV, and -DGROUP_SIZE for a 4-bit model (lm_head is fp16 always); without it weights are fp16,
// row-major: qkv and gate_up are the rows of q, k, v and of gate, up one after another. hidden <= 16384.

#define ROWS 1
#ifndef WARPS
#define WARPS 8
#endif
#include "linear_parts.cuh"
#include "decode_attention.cuh"

#ifdef GROUP_SIZE
typedef W4Units Units;
#else
typedef F16Units Units;
#endif
#ifndef WINDOW
#define WINDOW 4
#endif
constexpr int UNIT_BYTES = Units::BYTES > F16Units::BYTES ? Units::BYTES : F16Units::BYTES;

// For whoever launches: threads, bytes of a unit of the ring, warps that compute, bytes of attention, of the partial sums.
extern "C" __constant__ int decode_step_launch[5] = {
    THREADS + 32, UNIT_BYTES, WARPS, ATTENTION_BYTES, 2 * WARPS * WARPS * TILE_ROWS * 4};

struct Layer {  // 8 pointers, 64 bytes
    const unsigned char* qkv;
    const unsigned char* o;
    const unsigned char* gate_up;
    const unsigned char* down;
    const half_t* input_norm;      // [hidden]
    const half_t* attention_norm;  // [hidden], of the input to gate and up
    half_t* k_cache;               // [capacity, kv_heads d]
    half_t* v_cache;
};

struct Step {
    const Layer* layers;  // in shared memory: a fetching lane that waited for device memory here would hold up all lanes
    const unsigned char* head;
    int layer_count, hidden, mlp, vocab, kv_heads;
};

// The matrix of a phase: 4 a layer (qkv, o, gate and up, down), then lm_head.
DEVICE WeightMatrix matrix_of(const Step& s, int phase) {
    constexpr bool W4 = !SameType<Units, F16Units>::value;
    int q = s.kv_heads * QUERIES_PER_KV * HEAD_DIM;
    if (phase >= 4 * s.layer_count) return {s.head, s.hidden, s.vocab, 16, 8};
    const Layer& layer = s.layers[phase / 4];
    switch (phase % 4) {
        case 0: return {layer.qkv, s.hidden, q + 2 * s.kv_heads * HEAD_DIM, 16, 8};
        case 1: return {layer.o, q, s.hidden, 16, 8};
        case 2: return {layer.gate_up, s.hidden, 2 * s.mlp, W4 ? 16 : 8, W4 ? 8 : s.mlp};
        default: return {layer.down, s.mlp, s.hidden, 16, 8};
    }
}

// The block's part of a phase.
struct Run {
    int units, first_tile, tiles;
};

DEVICE Run run_of(const Step& s, int phase, const WeightMatrix& matrix) {
    int columns = phase < 4 * s.layer_count ? Units::COLUMNS : F16Units::COLUMNS;
    int tiles = (matrix.rows + TILE_ROWS - 1) / TILE_ROWS, share = (tiles + gridDim.x - 1) / gridDim.x;
    int first_tile = blockIdx.x * share;
    return {(matrix.in + columns - 1) / columns, first_tile, max(0, min(share, tiles - first_tile))};
}

// The rings: slots of warp 0, of warp 1, ... and three barriers a slot: filled by a bulk copy, filled by the warp, used up.
struct Rings {
    u32 slots, bulk, own, used;  // shared addresses
    int count;                   // slots a warp
};

// A slot of a warp's ring and how often the ring has come round.
struct Place {
    int slot;
    u32 parity;

    __device__ __forceinline__ void next(int count) {
        if (++slot == count) slot = 0, parity ^= 1;
    }
};

// One lane keeps the ring of warp `lane` full, through all phases but the last. Never waits: a lane whose warp is behind must not
// hold up the others.
DEVICE void fetch_bulk(const Step& s, const Rings& rings) {
#if __CUDA_ARCH__ >= 900
    if (!Units::BULK || threadIdx.x % 32 >= WARPS) return;
    u64 policy = evict_first_policy();
    int first_slot = threadIdx.x % 32 * rings.count, index = threadIdx.x % 32, count = 0, phase = -1, under_way = 0, window = min(WINDOW, rings.count);
    Place to = {0, 1}, latest = {0, 0};  // the next slot to fill; the latest that may still be under way
    const unsigned char* from = nullptr;
    while (true) {
        while (index >= count) {
            index -= count;
            if (++phase == 4 * s.layer_count) return;
            WeightMatrix matrix = matrix_of(s, phase);
            Run run = run_of(s, phase, matrix);
            count = run.tiles * run.units;
            from = matrix.data + (long long)run.first_tile * run.units * Units::BYTES;
        }
        if (under_way == window && barrier_passed(rings.bulk + (first_slot + latest.slot) * 8, latest.parity)) {
            latest.next(rings.count);
            under_way--;
        }
        int slot = first_slot + to.slot;
        if (under_way < window && barrier_passed(rings.used + slot * 8, to.parity)) {  // at first at once: no phase has ended yet
            copy_bulk<Units::BYTES>(rings.slots + slot * UNIT_BYTES, from + (long long)index * Units::BYTES, rings.bulk + slot * 8, policy);
            to.next(rings.count);
            index += WARPS;
            under_way++;
        } else {
            __nanosleep(40);  // leave the issue slots to the others
        }
    }
#endif
}

// A warp's own copies of the units of a phase.
template <class PhaseUnits>
struct OwnFetch {
    const WeightMatrix& matrix;
    const Run& run;
    int tile, unit;
    u64 policy;

    __device__ __forceinline__ void fill(const Rings& rings, int slot) {
        while (unit >= run.units && tile < run.tiles) unit -= run.units, tile++;
        if (tile >= run.tiles) return;
        PhaseUnits::fill(rings.slots + slot * UNIT_BYTES, rings.own + slot * 8, matrix, run.first_tile + tile, unit, policy);
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

template <class PhaseUnits, Input INPUT, Epilogue EPILOGUE>
DEVICE void run_phase(const Step& s, Block& b, int phase, void* out, const void* input, const half_t* norm, float epsilon) {
    WeightMatrix matrix = matrix_of(s, phase);
    Run run = run_of(s, phase, matrix);
    int warp = threadIdx.x / 32, columns = run.units * PhaseUnits::COLUMNS;
    int first_slot = warp * b.rings.count;
    OwnFetch<PhaseUnits> fetch = {matrix, run, 0, b.first, evict_first_policy()};
    if (!PhaseUnits::BULK) {
        Place place = b.own;
        for (int i = 0; i < b.rings.count; i++, place.next(b.rings.count)) fetch.fill(b.rings, first_slot + place.slot);
    }
    if (INPUT == NORMALIZED && run.tiles > 0) load_norm(b.x, norm, matrix.in);
    b.grid.wait();
    if (run.tiles == 0) return;
    if (INPUT == NORMALIZED) normalize_rows(b.x, b.scratch, (const float*)input, epsilon, matrix.in, columns, columns);
    else load_rows(b.x, (const half_t*)input, matrix.in, 0, columns, columns);
    sync_threads<THREADS>();

    const half_t* lane_x = b.x + threadIdx.x % 4 * 8;
    int unit = b.first;
    for (int batch = 0; batch < run.tiles; batch += WARPS) {  // each warp finishes one tile of a batch
        float residual[OUTPUTS_A_LANE] = {};
        int batch_end = min(batch + WARPS, run.tiles), mine = batch + warp;
        if (EPILOGUE == ADD && mine < batch_end) load_residual(residual, (const float*)out, matrix.rows, run.first_tile + mine);
        float* partial = b.partial + b.turn * WARPS * WARPS * TILE_ROWS;
        b.turn ^= 1;
        for (int tile = batch; tile < batch_end; tile++) {
            float sum[4] = {0, 0, 0, 0};
            for (; unit < run.units; unit += WARPS) {
                Place& place = PhaseUnits::BULK ? b.bulk : b.own;
                int slot = first_slot + place.slot;
                barrier_wait((PhaseUnits::BULK ? b.rings.bulk : b.rings.own) + slot * 8, place.parity);
                PhaseUnits::multiply(sum, b.shared + slot * UNIT_BYTES, lane_x + unit * PhaseUnits::COLUMNS);
                __syncwarp();
                if (!PhaseUnits::BULK) fetch.fill(b.rings, slot);
                else if (threadIdx.x % 32 == 0) barrier_arrive(b.rings.used + slot * 8);
                place.next(b.rings.count);
            }
            unit -= run.units;
            publish_sums(partial + ((tile - batch) * WARPS + warp) * TILE_ROWS, sum);
        }
        // The other buffer is free again: its readers have passed this barrier.
        sync_threads<THREADS>();
        if (mine < batch_end) {
            finish_tile<EPILOGUE>(out, matrix.rows, partial + warp * WARPS * TILE_ROWS, nullptr, residual, run.first_tile + mine, true,
                                  true);
        }
    }
    b.first = unit;
}

// What the kernel takes, by value. A launcher finds each field by its name in decode_step_fields.
#define ARGUMENTS(F) \
    F(const Layer*, layers) F(const half_t*, embedding) F(const half_t*, final_norm) F(const unsigned char*, head) \
    F(const float*, cos) F(const float*, sin) F(const int*, step) F(float*, hidden_state) F(half_t*, qkv) \
    F(half_t*, attended) F(half_t*, gated) F(float*, logits) F(float*, partials) F(u32*, tickets) F(u32*, barrier) \
    F(int, layer_count) F(int, hidden) F(int, mlp) F(int, vocab) F(int, kv_heads) F(int, splits) F(int, slots) \
    F(float, epsilon) F(float, scale)
struct Arguments {
    ARGUMENTS(STRUCT_MEMBER)
};
extern "C" __constant__ Field decode_step_fields[] = {ARGUMENTS(STRUCT_FIELD)};

extern "C" __global__ void __launch_bounds__(THREADS + 32, 1) decode_step(Arguments a) {
    int layer_count = a.layer_count, hidden = a.hidden, kv_heads = a.kv_heads, splits = a.splits, slots = a.slots;
    float* h = a.hidden_state;
    extern __shared__ __align__(128) unsigned char shared[];
    unsigned char* after_ring = shared + WARPS * slots * UNIT_BYTES;
    u32 barriers = shared_address(after_ring);
    float* partial = (float*)(after_ring + WARPS * slots * 32);
    Layer* table = (Layer*)(partial + 2 * WARPS * WARPS * TILE_ROWS + 64);
    for (int i = threadIdx.x; i < layer_count * (int)sizeof(Layer) / 8; i += blockDim.x) ((u64*)table)[i] = ((const u64*)a.layers)[i];
    Step s = {table, a.head, layer_count, hidden, a.mlp, a.vocab, kv_heads};
    Rings rings = {shared_address(shared), barriers, barriers + WARPS * slots * 8, barriers + WARPS * slots * 16, slots};
    if (threadIdx.x == 0) {
        init_barriers(rings.bulk, WARPS * slots, 1);
        init_barriers(rings.own, WARPS * slots, 32);
        init_barriers(rings.used, WARPS * slots, 1);
    }
    __syncthreads();
    if (threadIdx.x >= THREADS) {
        fetch_bulk(s, rings);
        return;
    }
    Block b = {rings, shared, {0, 0}, {0, 0}, (int)threadIdx.x / 32, partial, partial + 2 * WARPS * WARPS * TILE_ROWS,
               (half_t*)(table + layer_count), 0, {a.barrier, 0}};

    int token = a.step[0], position = a.step[1];
    for (int i = blockIdx.x * THREADS + threadIdx.x; i < hidden; i += gridDim.x * THREADS) {
        h[i] = to_float(a.embedding[(long long)token * hidden + i]);
    }
    b.grid.arrive();
    for (int l = 0; l < layer_count; l++) {
        const Layer& layer = table[l];
        run_phase<Units, NORMALIZED, STORE>(s, b, 4 * l, a.qkv, h, layer.input_norm, a.epsilon);
        b.grid.arrive();
        Attention attention = {a.attended, layer.k_cache, layer.v_cache, a.qkv,    a.cos,  a.sin,
                               a.partials, a.tickets,     position,      kv_heads, splits, a.scale};
        if (blockIdx.x < kv_heads * HEAD_BLOCKS * splits) prefetch_keys(attention, blockIdx.x);
        b.grid.wait();
        for (int item = blockIdx.x; item < kv_heads * HEAD_BLOCKS * splits; item += gridDim.x) {
            attend_item(attention, item, (unsigned char*)b.x);
            sync_threads<THREADS>();
        }
        b.grid.arrive();
        run_phase<Units, PLAIN, ADD>(s, b, 4 * l + 1, h, a.attended, nullptr, 0);
        b.grid.arrive();
        run_phase<Units, NORMALIZED, SWIGLU>(s, b, 4 * l + 2, a.gated, h, layer.attention_norm, a.epsilon);
        b.grid.arrive();
        run_phase<Units, PLAIN, ADD>(s, b, 4 * l + 3, h, a.gated, nullptr, 0);
        b.grid.arrive();
    }
    run_phase<F16Units, NORMALIZED, STORE_FLOAT>(s, b, 4 * layer_count, a.logits, h, a.final_norm, a.epsilon);

    b.grid.leave();
}
