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
// never waits. One block per multiprocessor stays for the whole step. Where units are bulk copies (all but fp16's, sm_90), its ninth warp
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
//   step       i32 [2] = {token, position} in device memory; a negative token leaves hidden_state as it is
//   hidden_state f32 [hidden], qkv f16 [(heads + 2 kv_heads) d], attended f16 [heads d], gated f16 [mlp], logits f32 [vocab]
//   partials f32 [heads, splits, d + 2], tickets u32 [kv_heads ceil(G / 16)], barrier u32 [2]; the last two zero before the first
//   launch and left at zero
//   grid       multiprocessors, launched as a cooperative kernel (all blocks must be resident); block 288
//   dynamic shared memory, in this order:
//     ring      8 * slots * UNIT_BYTES           the largest unit of a type that the model has
//     barriers  256 * slots
//     partial   8192
//     scratch   256
//     layers    sizeof(Layer) * layer_count
//     routing   ROUTING_BYTES
//     heads     4 * HEAD_VALUES
//     x         the larger of 2 * (P + 32), P = the largest of hidden, heads d and mlp rounded up to 256 and the units of down of all
//               slots, and ATTENTION_BYTES
//   slots      as many as fit the device's limit for a block less 256 bytes, at least 1
//
// Each linear has a type, a number of blocks.cuh. -DTYPES is a mask of those that layers have, -DHEAD and -DEMBEDDING are types,
// -DGROUP_SIZE belongs to type W4, and -DHEAD_DIM, -DQUERIES_PER_KV. Layers are all fp16 or of other types only. Where linears of
// one input are one matrix, the first has its pointer and the others' are null: fp16 as rows one after another, others as
// Fused matrices in w4.cuh. Gate and up always are one. hidden <= 16384.

#define ROWS 1
#ifndef WARPS
#define WARPS 8
#endif
#include "linear_parts.cuh"
#include "decode_attention.cuh"
#include "decode_phases.cuh"
#include "decode_experts.cuh"

#ifndef WINDOW
#define WINDOW 4
#endif
// For whoever launches: threads, bytes of a slot of the ring, warps that compute, bytes of attention, of the partial sums, of a layer, of
// what a block knows of experts, columns of a unit, bytes of what a block has of heads.
extern "C" __constant__ int decode_step_launch[9] = {
    THREADS + 32,  UNIT_BYTES,    WARPS,        ATTENTION_BYTES, 2 * WARPS * WARPS * TILE_ROWS * 4, sizeof(Layer),
    ROUTING_BYTES, LAYER_COLUMNS, 4 * HEAD_VALUES};

// One lane keeps the ring of warp `lane` full, through all phases of bulk copies. Never waits: a lane whose warp is behind must not
// hold up the others.
DEVICE void fetch_bulk(const Step& s, const Rings& rings, const Routing& routing) {
#if __CUDA_ARCH__ >= 900
    if (threadIdx.x % 32 >= WARPS) return;
    u64 policy = evict_first_policy();
    int first_slot = threadIdx.x % 32 * rings.count, index = threadIdx.x % 32, count = 0, under_way = 0, window = min(WINDOW, rings.count);
    int phase = BULK_LAYERS ? 0 : 4 * s.layer_count, part = 0, end = 4 * s.layer_count + (BULK_HEAD ? 1 : 0), bytes = 0;
    Place to = {0, 1}, latest = {0, 0};  // the next slot to fill; the latest that may still be under way
    const unsigned char* from = nullptr;
#ifdef EXPERTS
    Mixture mixture(s);
    int down_of = -1;  // the layer of whose experts' down the run is
#endif
    while (true) {
        while (index >= count) {
#ifdef EXPERTS
            if (phase % 4 >= 2 && s.has_experts(phase / 4)) {
                int layer = phase / 4;
                if (!chosen_of(routing, layer + 1)) break;
                index -= count;
                if (phase % 4 == 2) {
                    if (part == 0) part = mixture.first_slot();
                    Run run = mixture.gate_up(s.layers[layer], routing, part);
                    with_units(run.type, [&](auto units) { bytes = decltype(units)::BYTES; });
                    count = run.tiles * run.units;
                    from = run.matrix.data + (long long)run.first_tile * run.units * bytes;
                    if (++part >= SLOTS || part * mixture.expert_tiles >= mixture.end_tile) part = 0, phase++;
                } else {
                    count = mixture.down_tiles * mixture.units;
                    down_of = layer;
                    phase++;
                }
                continue;
            }
            down_of = -1;
#endif
            index -= count;
            if (phase >= end) return;
            Run run = run_of(s, phase, part);
            if (phase >= 4 * s.layer_count) bytes = HeadUnits::BYTES;
            else with_units(run.type, [&](auto units) { bytes = decltype(units)::BYTES; });
            count = run.tiles * run.units;
            from = run.matrix.data + (long long)run.first_tile * run.units * bytes;
            bool parts = phase % 4 == 0 && phase < 4 * s.layer_count;
            if (++part == 3 || !parts) part = 0, phase++;
        }
        if (under_way == window && barrier_passed(rings.bulk + (first_slot + latest.slot) * 8, latest.parity)) {
            latest.next(rings.count);
            under_way--;
        }
        int slot = first_slot + to.slot;
        // At first at once: no phase has ended yet. Without a unit the experts that it is of are not yet chosen.
        if (index < count && under_way < window && barrier_passed(rings.used + slot * 8, to.parity)) {
            const unsigned char* unit = from + (long long)index * bytes;
#ifdef EXPERTS
            if (down_of >= 0) unit = DownOfSlots{s.layers[down_of], mixture, routing}.place(index, bytes);
#endif
            copy_bulk(rings.slots + slot * UNIT_BYTES, unit, bytes, rings.bulk + slot * 8, policy);
            to.next(rings.count);
            index += WARPS;
            under_way++;
        } else {
            __nanosleep(40);  // leave the issue slots to the others
        }
    }
#endif
}

template <bool IS_HEAD, Input INPUT, Epilogue EPILOGUE, class After = Nothing>
DEVICE void run_phase(const Step& s, Block& b, int phase, void* out, const void* input, const half_t* norm, float epsilon,
                      After after = After{}) {
    int in = inputs_of(s, phase), columns = (in + 255) / 256 * 256;
    constexpr int PARTS = !IS_HEAD && EPILOGUE == STORE ? 3 : 1;
    bool waited = false;
#pragma unroll 1
    for (int part = 0; part < PARTS; part++) {
        Run run = run_of(s, phase, part);
        if (run.tiles == 0) continue;
        OwnFetch fetch = {0, b.first, evict_first_policy()};
        with_units_of<IS_HEAD>(run, [&](auto units) {
            OneMatrix<decltype(units)> matrix = {run, fetch};
            begin_fetching(b, matrix);
            fetch = matrix.fetch;
        });
        if (!waited) {
            if (INPUT == NORMALIZED) load_norm(b.x, norm, in);
            b.grid.wait();
            if constexpr (INPUT == NORMALIZED) {
                NormValues values;
                load_values(values, (const float*)input, in);
                normalize(b.x, b.scratch, values, epsilon, in, columns);
            } else load_rows(b.x, (const half_t*)input, in, 0, columns, columns);
            sync_threads<THREADS>();
            waited = true;
        }
        void* to = EPILOGUE == STORE ? (void*)((half_t*)out + run.first_row) : out;
        with_units_of<IS_HEAD>(run, [&](auto units) {
            OneMatrix<decltype(units)> matrix = {run, fetch};
            multiply_tiles<EPILOGUE>(b, matrix, to, after);
        });
    }
    if (!waited) b.grid.wait();
}

// The row of the token, as the residual stream begins; it is there already where the token is negative.
DEVICE void embed(float* h, const unsigned char* embedding, int token, int hidden) {
    if (token < 0) return;
    for (int i = (blockIdx.x * THREADS + threadIdx.x) * 4; i < hidden; i += gridDim.x * THREADS * 4) {
        float4 v;
        if constexpr (EMBEDDING == F16) {
            uint2 halves = *(const uint2*)(embedding + 2 * ((long long)token * hidden + i));
            v = make_float4(low_half(halves.x), high_half(halves.x), low_half(halves.y), high_half(halves.y));
        } else {
            int units = (hidden + BLOCK_UNIT_COLUMNS - 1) / BLOCK_UNIT_COLUMNS;
            long long unit = (long long)(token / 16) * units + i / BLOCK_UNIT_COLUMNS;
            float values[4];
            block_values<EMBEDDING>(values, (const u32*)(embedding + unit * BlockType<EMBEDDING>::UNIT_BYTES), token % 16,
                                    i % BLOCK_UNIT_COLUMNS);
            v = make_float4(values[0], values[1], values[2], values[3]);
        }
        *(float4*)(h + i) = v;
    }
}

// What the kernel takes, by value. A launcher finds each field by its name in decode_step_fields.
#define ARGUMENTS(F) \
    F(const Layer*, layers) F(const unsigned char*, embedding) F(const half_t*, final_norm) F(const unsigned char*, head) \
    F(const float*, cos) F(const float*, sin) F(const int*, step) F(float*, hidden_state) F(half_t*, qkv) \
    F(half_t*, attended) F(half_t*, gated) F(float*, logits) F(float*, partials) F(u32*, tickets) F(u32*, barrier) \
    F(u64*, scores) F(int, layer_count) F(int, hidden) F(int, mlp) F(int, expert_width) F(int, shared_width) F(int, vocab) \
    F(int, kv_heads) F(int, splits) F(int, slots) F(float, epsilon) F(float, head_epsilon) F(float, scale)
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
    Step s = {table, a.head, layer_count, hidden, a.mlp, a.vocab, kv_heads, a.expert_width, a.shared_width};
    Routing& routing = *(Routing*)(table + layer_count);
    float* of_heads = (float*)((unsigned char*)&routing + ROUTING_BYTES);
#ifdef EXPERTS
    if (threadIdx.x == 0) routing.layers = 0;
#endif
    Rings rings = {shared_address(shared), barriers, barriers + WARPS * slots * 8, barriers + WARPS * slots * 16, slots};
    if (threadIdx.x == 0) {
        init_barriers(rings.bulk, WARPS * slots, 1);
        init_barriers(rings.own, WARPS * slots, 32);
        init_barriers(rings.used, WARPS * slots, 1);
    }
    __syncthreads();
    if (threadIdx.x >= THREADS) {
        fetch_bulk(s, rings, routing);
        return;
    }
    Block b = {rings, shared, {0, 0}, {0, 0}, (int)threadIdx.x / 32, partial, partial + 2 * WARPS * WARPS * TILE_ROWS,
               (half_t*)(of_heads + HEAD_VALUES), 0, {a.barrier, 0}};

#ifdef EXPERTS
    Mixture mixture(s);
#endif
    int token = a.step[0], position = a.step[1];
    for (int i = threadIdx.x; i < HALF; i += THREADS) {
        of_heads[i] = a.cos[(long long)position * HALF + i];
        of_heads[HALF + i] = a.sin[(long long)position * HALF + i];
    }
    embed(h, a.embedding, token, hidden);
    b.grid.arrive();
    for (int l = 0; l < layer_count; l++) {
        const Layer& layer = table[l];
        run_phase<false, NORMALIZED, STORE>(s, b, 4 * l, a.qkv, h, layer.input_norm, a.epsilon);
#ifdef EXPERTS
        // All have read the scores of the layer before, and none adds to them before it has passed the next barrier.
        for (int e = threadIdx.x; blockIdx.x == gridDim.x - 1 && e < SCORES; e += THREADS) a.scores[e] = 0;
#endif
        b.grid.arrive();
        Attention attention = {a.attended, layer.k_cache, layer.v_cache, a.qkv,    of_heads, of_heads + HALF,
                               a.partials, a.tickets,     position,      kv_heads, splits, a.scale};
#ifdef HEAD_EXTRAS
        attention.extras = layer.extras, attention.epsilon = a.head_epsilon;
#endif
        if (blockIdx.x < kv_heads * HEAD_BLOCKS * splits) {
            prefetch_keys(attention, blockIdx.x);
            clear_queries((unsigned char*)b.x);
#if defined(HEAD_EXTRAS) && HEAD_EXTRAS == 1
            if (layer.extras.gains) {
                for (int i = threadIdx.x; i < 2 * HEAD_DIM; i += THREADS) of_heads[HEAD_DIM + i] = layer.extras.gains[i];
                attention.extras.gains = of_heads + HEAD_DIM;
            }
#endif
        }
#ifdef EXPERTS
        if (s.has_experts(l)) prefetch_router(layer, mixture);
#endif
        b.grid.wait();
        for (int item = blockIdx.x; item < kv_heads * HEAD_BLOCKS * splits; item += gridDim.x) {
            attend_item(attention, item, (unsigned char*)b.x);
            sync_threads<THREADS>();
        }
        b.grid.arrive();
#ifdef EXPERTS
        if (s.has_experts(l)) {
            Scoring scoring = {layer, a.scores, hidden, {}, 0, -1};
            int mine = threadIdx.x / 32;  // of the block's tiles; the router's rows are there before its sums
            if (mine < mixture.down_tiles) scoring.begin(mixture.down_first + mine), scoring.begun = mixture.down_first + mine;
            run_phase<false, PLAIN, ADD>(s, b, 4 * l + 1, h, a.attended, nullptr, 0, scoring);
            b.grid.arrive();
            experts_up(s, l, b, mixture, routing, a.scores, a.gated, h, a.epsilon);
            b.grid.arrive();
            experts_down(layer, b, mixture, routing, a.gated, h, a.epsilon);
            b.grid.arrive();
            continue;
        }
#endif
        run_phase<false, PLAIN, ADD>(s, b, 4 * l + 1, h, a.attended, nullptr, 0);
        b.grid.arrive();
        run_phase<false, NORMALIZED, SWIGLU>(s, b, 4 * l + 2, a.gated, h, layer.attention_norm, a.epsilon);
        b.grid.arrive();
        run_phase<false, PLAIN, ADD>(s, b, 4 * l + 3, h, a.gated, nullptr, 0);
        b.grid.arrive();
    }
    run_phase<true, NORMALIZED, STORE_FLOAT>(s, b, 4 * layer_count, a.logits, h, a.final_norm, a.epsilon);

    b.grid.leave();
}
