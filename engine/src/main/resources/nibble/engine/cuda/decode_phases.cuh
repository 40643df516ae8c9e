// The matrices of decode_step.cu: their types, and how the blocks of the grid share their tiles. decode_step.cu says what -DTYPES,
// -DHEAD and -DEMBEDDING are.

#pragma once
#include "block_units.cuh"
#include "decode_attention.cuh"

#ifndef TYPES
#error "-DTYPES is missing"
#endif

template <int TYPE>
struct UnitsOf {
    typedef BlockUnits<TYPE> Units;
};
template <>
struct UnitsOf<F16> {
    typedef F16Units Units;
};
#ifdef GROUP_SIZE
template <>
struct UnitsOf<W4> {
    typedef W4Units Units;
};
#endif
typedef UnitsOf<HEAD>::Units HeadUnits;

template <int TYPE>
constexpr bool used = (TYPES >> TYPE & 1) != 0;

// f(units of a type that layers have).
template <int TYPE = 0, class F>
DEVICE void with_units(int type, F f) {
    constexpr bool last = TYPES >> TYPE == 1;
    if constexpr (used<TYPE>) {
        if (last || type == TYPE) {
            f(typename UnitsOf<TYPE>::Units{});
            return;
        }
    }
    if constexpr (!last) with_units<TYPE + 1>(type, f);
}

template <int TYPE = 0>
constexpr int largest_unit(int largest) {
    if constexpr (used<TYPE>) largest = UnitsOf<TYPE>::Units::BYTES > largest ? UnitsOf<TYPE>::Units::BYTES : largest;
    if constexpr (TYPES >> TYPE > 1) return largest_unit<TYPE + 1>(largest);
    else return largest;
}
constexpr int UNIT_BYTES = largest_unit(HeadUnits::BYTES);
[[maybe_unused]] constexpr bool BULK_LAYERS = BULK_COPIES && !used<F16>;
[[maybe_unused]] constexpr bool BULK_HEAD = HeadUnits::BULK;
constexpr int LAYER_COLUMNS = used<F16> ? F16Units::COLUMNS : BLOCK_UNIT_COLUMNS;

// A matrix and its type: addresses are multiples of 32. 0 where it is part of the one before.
typedef u64 Typed;

DEVICE const unsigned char* address_of(Typed typed) { return (const unsigned char*)(typed & ~(Typed)31); }
DEVICE int type_of(Typed typed) { return (int)(typed & 31); }

// A launcher fills in eight bytes for each member, in this order.
struct Layer {
    Typed q, k, v, o, gate_up, down;  // gate_up, down: of the first expert where there are experts
    const half_t* input_norm;         // [hidden]
    const half_t* attention_norm;     // [hidden], of the input to gate and up
    half_t* k_cache;                  // [capacity, kv_heads d]
    half_t* v_cache;
#ifdef HEAD_EXTRAS
    HeadExtras extras;
#endif
#ifdef EXPERTS
    const half_t* router;  // [EXPERTS, hidden]; null where the layer has one MLP
    u64 gate_up_stride, down_stride;
    Typed shared_gate_up, shared_down;
    const half_t* shared_gate;  // [hidden]
#endif
};

struct Step {
    const Layer* layers;  // in shared memory: a fetching lane that waited for device memory here would hold up all lanes
    const unsigned char* head;
    int layer_count, hidden, mlp, vocab, kv_heads, expert_width, shared_width;

    __device__ __forceinline__ bool has_experts(int layer) const {
#ifdef EXPERTS
        return layer < layer_count && layers[layer].router != nullptr;
#else
        return false;
#endif
    }
};

// What a block has of heads in shared memory: cosines and sines of the position, and gains that all heads share, of queries and keys.
#if defined(HEAD_EXTRAS) && HEAD_EXTRAS == 1
constexpr int HEAD_VALUES = 3 * HEAD_DIM;
#else
constexpr int HEAD_VALUES = HEAD_DIM;
#endif

// The rings: slots of warp 0, of warp 1, ... and three barriers a slot: filled by a bulk copy, filled by the warp, used up.
struct Rings {
    u32 slots, bulk, own, used;  // shared addresses
    int count;                   // slots a warp
};

// The block's part of a phase, and of one matrix of it. A phase is 4 a layer (q, k and v; o; gate and up; down), then lm_head. Its
// tiles are those of its matrices, one after another.
struct Run {
    WeightMatrix matrix;
    int type, first_row;  // of the matrix among the rows of the phase
    int units, first_tile, tiles;
};

DEVICE int inputs_of(const Step& s, int phase) {
    if (phase >= 4 * s.layer_count || phase % 2 == 0) return s.hidden;
    return phase % 4 == 1 ? s.kv_heads * QUERIES_PER_KV * HEAD_DIM : s.mlp;
}

DEVICE int tiles_of(int rows) { return (rows + TILE_ROWS - 1) / TILE_ROWS; }

// Matrix number `part`, 0..2; no tiles where there is none.
DEVICE Run run_of(const Step& s, int phase, int part) {
    bool head = phase >= 4 * s.layer_count;
    int in = inputs_of(s, phase), columns = head ? HeadUnits::COLUMNS : LAYER_COLUMNS, type = HEAD, first_row = 0, tiles_before = 0;
    int rows = phase % 4 == 2 ? 2 * s.mlp : s.hidden, all_tiles;
    Typed typed = (Typed)s.head;
    bool fp16_pair = false;
    if (head) {
        rows = s.vocab;
        all_tiles = tiles_of(rows);
        if (part > 0) rows = 0;
    } else {
        const Layer& layer = s.layers[phase / 4];
        if (phase % 4 == 0) {
            int kv = s.kv_heads * HEAD_DIM, q = kv * QUERIES_PER_KV;
            int first = q + (layer.k ? 0 : kv + (layer.v ? 0 : kv)), second = layer.k ? kv + (layer.v ? 0 : kv) : 0, third = layer.v ? kv : 0;
            all_tiles = tiles_of(first) + tiles_of(second) + tiles_of(third);
            typed = part == 0 ? layer.q : part == 1 ? layer.k : layer.v;
            rows = part == 0 ? first : part == 1 ? second : third;
            if (part > 0) first_row = first, tiles_before = tiles_of(first);
            if (part > 1) first_row += second, tiles_before += tiles_of(second);
        } else {
            typed = phase % 4 == 1 ? layer.o : phase % 4 == 2 ? layer.gate_up : layer.down;
            all_tiles = tiles_of(rows);
            fp16_pair = used<F16> && phase % 4 == 2;
            if (part > 0) rows = 0;
        }
        type = type_of(typed);
    }
    int share = (all_tiles + gridDim.x - 1) / gridDim.x, begin = blockIdx.x * share - tiles_before;
    int first_tile = max(0, begin), end = min(tiles_of(rows), begin + share);
    WeightMatrix matrix = {address_of(typed), in, rows, fp16_pair ? 8 : 16, fp16_pair ? s.mlp : 8};
    return {matrix, type, first_row, (in + columns - 1) / columns, first_tile, max(0, end - first_tile)};
}
