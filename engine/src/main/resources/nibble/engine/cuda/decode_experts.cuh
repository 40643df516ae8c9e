// Mixtures of experts in a decode step (decode_step.cu). Compile with -DEXPERTS, -DCHOSEN experts of a token (up to 16), -DSUM_OF_ONE=1
// where the weights of the chosen have the sum 1, and -DSHARED: 0 without a shared expert, 1 with one, 2 with one behind a gate.
//
//   o         h += W_o attended;  scores[e] += router[e] . (attention_norm * h), each block for its own rows of h
//   gate, up  chooses experts by scores / rms(h), the same in all blocks;  gated[slot] = silu(W_gate[e] x) * (W_up[e] x)
//   down      h += sum over slots of weight[slot] W_down[e] gated[slot]
//
// A slot is one of the chosen experts, in order of their numbers; the last one is the shared expert. Scores are sums of integers, in
// units of 2^-36, so that they do not depend on the order in which blocks add. Only the chosen experts are read: those of a layer have
// one shape and type, and lie at a stride from the first. What they are is known a phase before they are multiplied by, so a lane that
// fetches waits for it, and with it all that comes behind.

#pragma once
#include "decode_products.cuh"

#ifdef EXPERTS
constexpr int SLOTS = CHOSEN + (SHARED > 0 ? 1 : 0);
constexpr int SCORES = EXPERTS + (SHARED == 2 ? 1 : 0);  // the last one is the shared expert's gate
constexpr int LANE_SCORES = (SCORES + 31) / 32;
constexpr int RANKED = 16;  // experts that a warp ranks at a time, two lanes for each
constexpr int RANKINGS = (EXPERTS + RANKED - 1) / RANKED, RANKED_EXPERTS = RANKINGS * RANKED;
constexpr float SCORE_UNIT = 1.0f / (1ll << 36);
static_assert(CHOSEN <= 16 && CHOSEN <= EXPERTS && EXPERTS <= 256, "experts");

// What a block knows of the layer's experts, in shared memory.
struct Routing {
    int layers;  // of which experts are chosen
    int expert[CHOSEN];
    float weight[SLOTS];
    u32 masks[RANKINGS];  // of those chosen
    float shared_logit;
    alignas(16) float logits[RANKED_EXPERTS];
};
constexpr int ROUTING_BYTES = (sizeof(Routing) + 15) / 16 * 16;

// The block's share of the phases of a mixture.
struct Mixture {
    int hidden, width, shared_width;
    int expert_tiles, first_tile, end_tile;  // of gate and up, those of all slots one after another
    int expert_units, units;                 // of a tile of down: of an expert, of all slots
    int down_first, down_tiles;

    __device__ __forceinline__ Mixture(const Step& s)
        : hidden(s.hidden), width(s.expert_width), shared_width(s.shared_width), expert_tiles(tiles_of(2 * s.expert_width)),
          expert_units((s.expert_width + LAYER_COLUMNS - 1) / LAYER_COLUMNS) {
        int all = CHOSEN * expert_tiles + tiles_of(2 * shared_width), share = (all + gridDim.x - 1) / gridDim.x;
        first_tile = min(all, (int)blockIdx.x * share);
        end_tile = min(all, first_tile + share);
        units = CHOSEN * expert_units + (shared_width + LAYER_COLUMNS - 1) / LAYER_COLUMNS;
        int tiles = tiles_of(hidden), down_share = (tiles + gridDim.x - 1) / gridDim.x;
        down_first = min(tiles, (int)blockIdx.x * down_share);
        down_tiles = min(tiles, down_first + down_share) - down_first;
    }

    __device__ __forceinline__ int first_slot() const { return min(first_tile / expert_tiles, SLOTS - 1); }
    __device__ __forceinline__ int width_of(int slot) const { return SHARED > 0 && slot == CHOSEN ? shared_width : width; }
    // Of a unit of a tile of down.
    __device__ __forceinline__ int slot_of(int unit) const { return min(unit / expert_units, SLOTS - 1); }

    // The block's part of gate and up of a slot.
    __device__ __forceinline__ Run gate_up(const Layer& layer, const Routing& routing, int slot) const {
        bool shared = SHARED > 0 && slot == CHOSEN, fp16 = used<F16>;
        Typed typed = shared ? layer.shared_gate_up : layer.gate_up + layer.gate_up_stride * (u64)expert_of(routing, slot);
        int columns = width_of(slot), begin = slot * expert_tiles;
        int first = max(first_tile, begin), end = min(end_tile, begin + tiles_of(2 * columns));
        WeightMatrix matrix = {address_of(typed), hidden, 2 * columns, fp16 ? 8 : 16, fp16 ? columns : 8};
        return {matrix, type_of(typed), 0, (hidden + LAYER_COLUMNS - 1) / LAYER_COLUMNS, first - begin, max(0, end - first)};
    }

    // Down of a slot.
    __device__ __forceinline__ Typed down(const Layer& layer, const Routing& routing, int slot) const {
        bool shared = SHARED > 0 && slot == CHOSEN;
        return shared ? layer.shared_down : layer.down + layer.down_stride * (u64)expert_of(routing, slot);
    }

    static __device__ __forceinline__ int expert_of(const Routing& routing, int slot) {
        return *(const volatile int*)&routing.expert[min(slot, CHOSEN - 1)];
    }
};

// --- scores ---------------------------------------------------------------------------------------------------------

// Brings the rows of the router that the block will score its rows of h by to the L2, without waiting for them.
DEVICE void prefetch_router(const Layer& layer, const Mixture& m) {
    for (int i = threadIdx.x; i < SCORES * m.down_tiles; i += THREADS) {
        int e = i % SCORES, tile = m.down_first + i / SCORES;
        const half_t* row = e < EXPERTS ? layer.router + (long long)e * m.hidden : layer.shared_gate;
        asm volatile("prefetch.global.L2 [%0];" ::"l"(row + tile * TILE_ROWS));
    }
}

// What a warp adds to the scores for the tile of h that it finishes.
struct Scoring {
    const Layer& layer;
    u64* scores;
    int hidden;
    uint4 weights[LANE_SCORES][2];
    float gain;
    int begun;  // the tile that is prepared for

    // Before the tile is there.
    __device__ __forceinline__ void begin(int tile) {
        if (tile == begun) return;
        int lane = threadIdx.x % 32;
        gain = to_float(layer.attention_norm[tile * TILE_ROWS + lane % TILE_ROWS]);
#pragma unroll
        for (int i = 0; i < LANE_SCORES; i++) {
            int e = i * 32 + lane;
            const half_t* row = e < EXPERTS ? layer.router + (long long)e * hidden : layer.shared_gate;
            weights[i][0] = weights[i][1] = make_uint4(0, 0, 0, 0);
            if (e < SCORES) weights[i][0] = ((const uint4*)(row + tile * TILE_ROWS))[0], weights[i][1] = ((const uint4*)(row + tile * TILE_ROWS))[1];
        }
    }

    // value: row `lane` of the tile.
    __device__ __forceinline__ void end(float value) {
        float x = value * gain, sums[LANE_SCORES] = {};
#pragma unroll
        for (int pair = 0; pair < TILE_ROWS / 2; pair++) {
            float even = __shfl_sync(0xffffffffu, x, 2 * pair), odd = __shfl_sync(0xffffffffu, x, 2 * pair + 1);
#pragma unroll
            for (int i = 0; i < LANE_SCORES; i++) {
                uint4 four = weights[i][pair / 4];
                u32 word = pair % 4 == 0 ? four.x : pair % 4 == 1 ? four.y : pair % 4 == 2 ? four.z : four.w;
                sums[i] += even * low_half(word) + odd * high_half(word);
            }
        }
#pragma unroll
        for (int i = 0; i < LANE_SCORES; i++) {
            int e = i * 32 + threadIdx.x % 32;
            if (e < SCORES) atomicAdd(scores + e, (u64)__float2ll_rn(sums[i] * (1.0f / SCORE_UNIT)));
        }
    }
};

DEVICE float load_score(const u64* from) {
    long long v;
    asm volatile("ld.global.cg.s64 %0, [%1];" : "=l"(v) : "l"(from) : "memory");
    return (float)v * SCORE_UNIT;
}

// Chooses the experts with the best scores, of equal ones the first, as the host does; tells the lanes that fetch.
DEVICE void choose(Routing& routing, const u64* scores, int layers) {
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (int e = threadIdx.x; e < RANKED_EXPERTS; e += THREADS) routing.logits[e] = e < EXPERTS ? load_score(scores + e) : -INFINITY;
    if (SHARED == 2 && threadIdx.x == 0) routing.shared_logit = load_score(scores + EXPERTS);
    sync_threads<THREADS>();
    for (int ranking = warp; ranking < RANKINGS; ranking += WARPS) {
        int e = ranking * RANKED + lane % RANKED, from = lane / RANKED * (RANKED_EXPERTS / 2), before = 0;
        float mine = routing.logits[e];
#pragma unroll 8
        for (int i = 0; i < RANKED_EXPERTS / 2; i += 4) {
            float4 theirs = *(const float4*)&routing.logits[from + i];
            int lower = e - from - i;  // of the four, those with a lower number
            before += (theirs.x > mine || (theirs.x == mine && 0 < lower)) + (theirs.y > mine || (theirs.y == mine && 1 < lower));
            before += (theirs.z > mine || (theirs.z == mine && 2 < lower)) + (theirs.w > mine || (theirs.w == mine && 3 < lower));
        }
        before += __shfl_xor_sync(0xffffffffu, before, RANKED);
        u32 mask = __ballot_sync(0xffffffffu, e < EXPERTS && before < CHOSEN) & ((1u << RANKED) - 1);
        if (lane == 0) routing.masks[ranking] = mask;
    }
    sync_threads<THREADS>();
    for (int e = threadIdx.x; e < EXPERTS; e += THREADS) {
        int own = e / RANKED, place = 0;
        for (int i = 0; i < own; i++) place += __popc(routing.masks[i]);
        u32 mask = routing.masks[own];
        place += __popc(mask & ((1u << e % RANKED) - 1));
        // With scores that are no numbers more than CHOSEN may be among the best.
        if ((mask >> e % RANKED & 1) && place < CHOSEN) routing.expert[place] = e;
    }
    sync_threads<THREADS>();
    if (threadIdx.x == 0) {
        __threadfence_block();
        *(volatile int*)&routing.layers = layers;
    }
}

// Whether the experts of the first `layers` layers are chosen, for a lane that fetches.
DEVICE bool chosen_of(const Routing& routing, int layers) {
    bool there = *(const volatile int*)&routing.layers >= layers;
    if (there) __threadfence_block();
    return there;
}

// By one warp, after `normalize` has left the squares of h in `scratch`.
DEVICE void weigh(Routing& routing, const float* scratch, int hidden, float epsilon) {
    int lane = threadIdx.x % 32;
    float squares = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) squares += scratch[w];
    float inverse = 1.0f / sqrtf(squares / (float)hidden + epsilon);
    bool is_chosen = lane < CHOSEN;
    float logit = is_chosen ? routing.logits[routing.expert[min(lane, CHOSEN - 1)]] * inverse : -INFINITY;
    float most = warp_max(logit), share = is_chosen ? expf(logit - most) : 0, sum = share;
    if (SUM_OF_ONE == 0) {
        sum = 0;
        for (int e = lane; e < EXPERTS; e += 32) sum += expf(routing.logits[e] * inverse - most);
    }
    sum = warp_sum(sum);
    if (is_chosen) routing.weight[lane] = share / sum;
    if (SHARED > 0 && lane == 0) {
        routing.weight[SLOTS - 1] = SHARED == 2 ? 1.0f / (1.0f + expf(-routing.shared_logit * inverse)) : 1.0f;
    }
}

// --- down -----------------------------------------------------------------------------------------------------------

// gated [slot, width] to shared memory, each slot's columns from a unit on; those behind them are zero.
DEVICE void load_gated(half_t* x, const half_t* gated, const Mixture& m) {
    int expert_columns = m.expert_units * LAYER_COLUMNS;
    for (int c = threadIdx.x * 8; c < m.units * LAYER_COLUMNS; c += THREADS * 8) {
        int slot = min(c / expert_columns, SLOTS - 1), column = c - slot * expert_columns;
        bool inside = column < m.width_of(slot);
        copy_async16(shared_address(x + c), gated + (inside ? slot * m.width + column : 0), inside ? 16 : 0);
    }
    copy_async_commit();
    copy_async_wait<0>();
}

// Down of all slots, as one matrix whose tiles have the units of all slots.
struct DownOfSlots {
    static constexpr bool BULK = BULK_LAYERS;
    const Layer& layer;
    const Mixture& m;
    const Routing& routing;
    int tile, unit;  // that the warp fetches next itself
    u64 policy;

    __device__ __forceinline__ int units() const { return m.units; }
    __device__ __forceinline__ int first_tile() const { return m.down_first; }
    __device__ __forceinline__ int tiles() const { return m.down_tiles; }
    __device__ __forceinline__ int rows() const { return m.hidden; }

    __device__ __forceinline__ void fill(const Rings& rings, int slot) {
        while (unit >= m.units && tile < m.down_tiles) unit -= m.units, tile++;
        if (tile >= m.down_tiles) return;
        int of = m.slot_of(unit), in = m.width_of(of);
        Typed typed = m.down(layer, routing, of);
        WeightMatrix matrix = {address_of(typed), in, m.hidden, 16, 8};
        with_units(type_of(typed), [&](auto units) {
            decltype(units)::fill(rings.slots + slot * UNIT_BYTES, rings.own + slot * 8, matrix, m.down_first + tile,
                                  unit - of * m.expert_units, policy);
        });
        unit += WARPS;
    }

    // x: of column 0 of all slots.
    __device__ __forceinline__ void multiply(float (&sum)[4], const unsigned char* slot, const half_t* x, int unit) const {
        int of = m.slot_of(unit);
        float part[4] = {0, 0, 0, 0}, weight = routing.weight[of];
        with_units(type_of(m.down(layer, routing, of)),
                   [&](auto units) { decltype(units)::multiply(part, slot, x + unit * LAYER_COLUMNS); });
        sum[0] += weight * part[0], sum[2] += weight * part[2];
    }

    // Where the unit lies that a lane is to fetch, and its bytes. `unit` counts from the block's first tile on.
    __device__ __forceinline__ const unsigned char* place(int unit, int& bytes) const {
        int tile = unit / m.units;
        unit -= tile * m.units;
        int of = m.slot_of(unit), in_units = of < CHOSEN ? m.expert_units : m.units - CHOSEN * m.expert_units;
        Typed typed = m.down(layer, routing, of);
        with_units(type_of(typed), [&](auto units) { bytes = decltype(units)::BYTES; });
        return address_of(typed) + ((long long)(m.down_first + tile) * in_units + unit - of * m.expert_units) * bytes;
    }
};

// Gate and up of the chosen experts of layer number `number`.
DEVICE void experts_up(const Step& s, int number, Block& b, const Mixture& m, Routing& routing, const u64* scores, half_t* gated,
                       const float* h, float epsilon) {
    const Layer& layer = s.layers[number];
    int columns = (m.hidden + 255) / 256 * 256;
    load_norm(b.x, layer.attention_norm, m.hidden);
    b.grid.wait();
    NormValues values;
    load_values(values, h, m.hidden);
    choose(routing, scores, number + 1);
    normalize(b.x, b.scratch, values, epsilon, m.hidden, columns);
    sync_threads<THREADS>();
#pragma unroll 1
    for (int slot = m.first_slot(); slot < SLOTS && slot * m.expert_tiles < m.end_tile; slot++) {
        Run run = m.gate_up(layer, routing, slot);
        with_units(run.type, [&](auto units) {
            OneMatrix<decltype(units)> matrix = {run, {0, b.first, evict_first_policy()}};
            begin_fetching(b, matrix);
            multiply_tiles<SWIGLU>(b, matrix, gated + slot * m.width, Nothing{});
        });
    }
}

// Down of the same.
DEVICE void experts_down(const Layer& layer, Block& b, const Mixture& m, Routing& routing, const half_t* gated, float* h,
                         float epsilon) {
    DownOfSlots down = {layer, m, routing, 0, b.first, evict_first_policy()};
    begin_fetching(b, down);
    if (threadIdx.x < 32) weigh(routing, b.scratch, m.hidden, epsilon);
    b.grid.wait();
    load_gated(b.x, gated, m);
    sync_threads<THREADS>();
    multiply_tiles<ADD>(b, down, h, Nothing{});
}
#else
constexpr int ROUTING_BYTES = 0;
struct Routing {};
#endif
