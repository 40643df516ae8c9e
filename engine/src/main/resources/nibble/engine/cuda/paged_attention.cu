// Attention of next tokens, one of each of many sequences, whose keys and values lie in blocks of 16 rows anywhere in the cache.
// Rotates the queries and the new keys, appends new keys and values, and attends to all keys up to and including the new one.
//
// A sequence's keys are shared out over items, by the launcher and by their number alone; so a row's result does not depend on the
// other rows. A block takes items one after another, each for one kv head (of which at most 16 query heads): its warps share the
// item's blocks of keys in turns. decode_attention.cuh says how a warp computes; a step of it is one block of the cache. The sums
// of warps, then of items (by the block that comes last), are added in a fixed order.
//
// -DHEAD_DIM (a multiple of 8 up to 256), -DQUERIES_PER_KV, -DSLIDING_WINDOW for keys that a query sees no more, and -DCODES for keys and
// values that are 8-bit codes (code_attention.cuh), of which the next step's are on their way while one is computed.

#define MOST_ATTENTION_WARPS 4
#define ONLY_ATTENTION
#include "arranged.cuh"
#include "decode_attention.cuh"
#ifdef CODES
#include "code_attention.cuh"
typedef unsigned char cached_t;
#else
typedef half_t cached_t;
#endif

#ifdef SLIDING_WINDOW
constexpr bool HAS_WINDOW = true;
#else
#define SLIDING_WINDOW 0
constexpr bool HAS_WINDOW = false;
#endif

constexpr int BLOCK_TOKENS = 16;
constexpr int MOST_ITEMS = 16;  // of a row
#ifdef CODES
constexpr int BLOCKS_PER_SM = HEAD_DIM <= 128 ? 4 : 2;
constexpr bool TWO_STEPS = HEAD_DIM <= 64;  // one is on its way while one is computed, where there are registers
#else
constexpr int BLOCKS_PER_SM = HEAD_DIM <= 128 ? 3 : 2;
#endif

// threads, blocks a multiprocessor holds, blocks of query heads a kv head has, keys that a round of the warps takes
extern "C" __constant__ int paged_attention_launch[4] = {THREADS, BLOCKS_PER_SM, HEAD_BLOCKS, BLOCK_TOKENS* ATTENTION_WARPS};

struct Item {
    int row, begin, end, part;  // keys begin ... end - 1; part: its number among the row's items, and 65536 times their number
};

#define PAGED_ARGUMENTS(F) \
    F(half_t*, out) F(cached_t*, keys) F(cached_t*, values) F(float*, key_scales) F(float*, value_scales) F(const half_t*, q) F(const half_t*, k) F(const half_t*, v) \
    F(const float*, cos) F(const float*, sin) F(const int*, head) F(const int*, positions) F(const Item*, items) \
    F(const int*, table) F(float*, partials) F(u32*, tickets) F(int, out_stride) F(int, arranged) F(int, q_stride) F(int, kv_stride) \
    F(int, kv_heads) F(int, most_items) F(float, scale) F(const float*, sinks)
struct Paged {
    PAGED_ARGUMENTS(STRUCT_MEMBER)
};
extern "C" __constant__ Field paged_attention_fields[] = {PAGED_ARGUMENTS(STRUCT_FIELD)};
// out        [rows, heads d], rows out_stride apart; arranged: 0, or out is as arranged.cuh says, for so many rows
// keys       [blocks, 16, kv_heads d]; values likewise
// key_scales [blocks, kv_heads, 16] of codes; value_scales likewise
// q          [rows, heads d], rows q_stride apart; k, v [rows, kv_heads d], rows kv_stride apart; k null: the cache has them already
// cos, sin   [positions, d / 2]; null: q and k are rotated already
// head       {items, columns of table}
// table      [rows, columns] the rows' blocks
// partials   [rows, heads, most_items, d + 2]
// tickets    [rows, kv_heads * HEAD_BLOCKS], zero at first, left at zero
// scale      1 / sqrt(d) * log2(e)
// sinks      [heads] with -DSINKS: a score more in softmax, whose weight no value gets

// What the sink of a head adds to the sum of weights.
DEVICE float sink_weight(const Paged& a, int head, float highest) {
#if defined(SINKS) && defined(CODES)
    return VALUE_UNIT * power_of_two(1.4426950408889634f * a.sinks[head] - highest);
#elif defined(SINKS)
    return power_of_two(1.4426950408889634f * a.sinks[head] - highest);
#else
    return 0.0f;
#endif
}

DEVICE void copy_queries(half_t* q, const half_t* heads, int count) {
    for (int i = threadIdx.x; i < count * HEAD_DIM; i += THREADS) q[i / HEAD_DIM * Q_STRIDE + i % HEAD_DIM] = heads[i];
}

DEVICE void store(const Paged& a, int row, int column, float value) {
    RowsOut{a.out, a.out_stride, a.arranged}.store(row, column, to_half(value));
}

// The items' results of a row, by the block that came last. factors: shared memory for 16 MOST_ITEMS numbers. Loads of several items
// are on their way together.
DEVICE void combine_items(
    const Paged& a, int row, const float* partials, int first_head, int heads, int items, float* factors) {
    long long stride = (long long)a.most_items * (HEAD_DIM + 2);
    for (int i = threadIdx.x; i < heads * items; i += THREADS) {
        factors[i] = load_partial(partials + i / items * stride + i % items * (HEAD_DIM + 2) + HEAD_DIM);
    }
    sync_threads<THREADS>();
    for (int head = threadIdx.x; head < heads; head += THREADS) {
        float highest = NEVER, weight = 0, totals[MOST_ITEMS];
#pragma unroll
        for (int s = 0; s < MOST_ITEMS; s++) {
            totals[s] = s < items ? load_partial(partials + head * stride + s * (HEAD_DIM + 2) + HEAD_DIM + 1) : 0.0f;
        }
        for (int s = 0; s < items; s++) highest = fmaxf(highest, factors[head * items + s]);
#pragma unroll
        for (int s = 0; s < MOST_ITEMS; s++) {
            if (s < items) weight += totals[s] * power_of_two(factors[head * items + s] - highest);
        }
        weight += sink_weight(a, first_head + head, highest);
        for (int s = 0; s < items; s++) factors[head * items + s] = power_of_two(factors[head * items + s] - highest) / weight;
    }
    sync_threads<THREADS>();
    for (int i = threadIdx.x; i < heads * HEAD_DIM; i += THREADS) {
        const float* from = partials + i / HEAD_DIM * stride + i % HEAD_DIM;
        const float* factor = factors + i / HEAD_DIM * items;
        float parts[MOST_ITEMS], value = 0;
#pragma unroll
        for (int s = 0; s < MOST_ITEMS; s++) parts[s] = s < items ? load_partial(from + s * (HEAD_DIM + 2)) : 0.0f;
#pragma unroll
        for (int s = 0; s < MOST_ITEMS; s++) {
            if (s < items) value += parts[s] * factor[s];
        }
        store(a, row, first_head * HEAD_DIM + i, value);
    }
}

// Rows of q that an item has no query for must be zero before, and are so after.
DEVICE void clear_queries(half_t* q) {
    for (int i = threadIdx.x; i < 16 * Q_STRIDE / 2; i += THREADS) ((u32*)q)[i] = 0;
    sync_threads<THREADS>();
}

DEVICE void attend_keys(const Paged& a, const Item& item, int group, unsigned char* shared) {
    __shared__ u32 ticket;
    __shared__ float factors[16 * MOST_ITEMS];
    half_t* q = (half_t*)shared;
    float* o = (float*)(shared + ATTENTION_QUERY_BYTES);
    float* maxima = (float*)(shared + ATTENTION_QUERY_BYTES + ATTENTION_SUM_BYTES);
    float* totals = maxima + ATTENTION_WARPS * 16;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = item.row;
    int kv = group / HEAD_BLOCKS, first = group % HEAD_BLOCKS * 16;
    int heads = min(16, QUERIES_PER_KV - first), first_head = kv * QUERIES_PER_KV + first, stride = a.kv_heads * HEAD_DIM;
    int position = a.positions[row], split = item.part & 0xffff, items = item.part >> 16;
    const int* table = a.table + (long long)row * a.head[1];

    if (HEAD_BLOCKS > 1) clear_queries(q);
    cached_t* k = a.keys + kv * HEAD_DIM;
    cached_t* v = a.values + kv * HEAD_DIM;
    constexpr int STEP = BLOCK_TOKENS * ATTENTION_WARPS;
    int base = item.begin + warp * BLOCK_TOKENS;
#ifdef CODES
    auto block_at = [&](int key) { return key < item.end ? table[key / BLOCK_TOKENS] : 0; };
    auto load = [&](CodedKeys& to, int block, int from) {
        long long at = (long long)block * BLOCK_TOKENS * stride, scales = ((long long)block * a.kv_heads + kv) * BLOCK_TOKENS;
        load_coded(to, k + at, v + at, a.key_scales + scales, a.value_scales + scales, min(BLOCK_TOKENS, item.end - from), stride);
    };
    // The first step's are on their way while queries turn, unless the new key is among them.
    CodedKeys even;
    int following = block_at(base);
    bool early = base + BLOCK_TOKENS <= position;
    if (early && base < item.end) load(even, following, base);
#endif

    const half_t* queries = a.q + (long long)row * a.q_stride + first_head * HEAD_DIM;
    if (a.cos) {
        const float* cos = a.cos + (long long)position * HALF;
        const float* sin = a.sin + (long long)position * HALF;
        rotate_queries(q, queries, heads, cos, sin);
        if (a.k && item.end == position + 1) {
            long long place = (long long)table[position / BLOCK_TOKENS] * BLOCK_TOKENS + position % BLOCK_TOKENS;
            long long at = place * stride, from = (long long)row * a.kv_stride + kv * HEAD_DIM;
#ifdef CODES
            long long scale = scale_at(place, kv, a.kv_heads);
            if (warp == 0) append_coded(k + at, a.key_scales + scale, a.k + from, cos, sin);
            if (warp == 1) append_coded(v + at, a.value_scales + scale, a.v + from, nullptr, nullptr);
#else
            append(k + at, v + at, a.k + from, a.v + from, cos, sin);
#endif
        }
    } else {
        copy_queries(q, queries, heads);
    }
    sync_threads<THREADS>();

    {
        Sums sums = {};
        sums.max[0] = sums.max[1] = NEVER;
        int unseen = HAS_WINDOW ? position - SLIDING_WINDOW + 1 : 0;
        const half_t* own = q + lane / 4 * Q_STRIDE + lane % 4 * 8;
#ifdef CODES
        auto step = [&](const CodedKeys& keys) {
            attend_coded<HAS_WINDOW>(sums, own, keys, min(BLOCK_TOKENS, item.end - base), a.scale, unseen - base);
        };
        if (!early && base < item.end) load(even, following, base);
        following = block_at(base + STEP);
        if (TWO_STEPS) {
            CodedKeys odd;
            while (base < item.end) {
                int after = block_at(base + 2 * STEP);
                if (base + STEP < item.end) load(odd, following, base + STEP);
                step(even);
                base += STEP;
                if (base >= item.end) break;
                following = block_at(base + 2 * STEP);
                if (base + STEP < item.end) load(even, after, base + STEP);
                step(odd);
                base += STEP;
            }
        } else {
            while (base < item.end) {
                step(even);
                base += STEP;
                if (base < item.end) load(even, following, base);
                following = block_at(base + STEP);
            }
        }
#else
        int block = base < item.end ? table[base / BLOCK_TOKENS] : 0;
        for (; base < item.end; base += STEP) {
            int following = base + STEP < item.end ? table[(base + STEP) / BLOCK_TOKENS] : 0;
            long long at = (long long)block * BLOCK_TOKENS * stride;
            attend<HAS_WINDOW>(sums, own, k + at, v + at, 0, min(BLOCK_TOKENS, item.end - base), stride, a.scale, unseen - base);
            block = following;
        }
#endif
        publish(sums, o + warp * HEADS * HEAD_DIM, maxima + warp * 16, totals + warp * 16);
    }
    sync_threads<THREADS>();

    float* partials = a.partials + ((long long)row * a.kv_heads * QUERIES_PER_KV + first_head) * a.most_items * (HEAD_DIM + 2);
    for (int i = threadIdx.x; i < heads * HEAD_DIM; i += THREADS) {
        int head = i / HEAD_DIM, element = i % HEAD_DIM;
        float highest, weight;
        float value = merged(o, maxima, totals, head, element, highest, weight);
        if (items == 1) {
            store(a, row, first_head * HEAD_DIM + i, value / (weight + sink_weight(a, first_head + head, highest)));
        } else {
            float* to = partials + ((long long)head * a.most_items + split) * (HEAD_DIM + 2);
            to[element] = value;
            if (element == 0) to[HEAD_DIM] = highest, to[HEAD_DIM + 1] = weight;
        }
    }
    if (items == 1) return;

    __threadfence();
    sync_threads<THREADS>();
    u32* tickets = a.tickets + row * a.kv_heads * HEAD_BLOCKS + group;
    if (threadIdx.x == 0) ticket = atomicAdd(tickets, 1u);
    sync_threads<THREADS>();
    if (ticket != (u32)items - 1) return;
    if (threadIdx.x == 0) *tickets = 0;
    __threadfence();
    combine_items(a, row, partials, first_head, heads, items, factors);
}

// Grid: as many blocks as the card holds, or less.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM) paged_attention(Paged a) {
    __shared__ __align__(16) unsigned char shared[ATTENTION_BYTES];
    int groups = a.kv_heads * HEAD_BLOCKS, all = a.head[0] * groups;
    clear_queries((half_t*)shared);
    for (int i = blockIdx.x; i < all; i += gridDim.x) {
        attend_keys(a, a.items[i / groups], i % groups, shared);
        sync_threads<THREADS>();
    }
}
