// Causal attention of a prefill, grouped-query, one softmax pass over the keys and no T x T matrix in memory:
//
//   out[t, h] = sum over j <= p(t) of softmax_j(q[t, h] . k[j, g(h)] / sqrt(HEAD_DIM)) v[j, g(h)]
//   p(t) = first_position + t      g(h) = h / (heads / kv_heads)
//
// fp16 in and out, fp32 scores, softmax and sums; the weights are rounded to fp16 between the two products, as the tensor
// cores take them. Called by CudaBackend for whole prompts, chunks against a KV cache and batches of evaluation windows.
//
// Element of row t of sequence s, c in [0, HEAD_DIM); strides in elements, so that q, k and v may be parts of one fused matrix:
//   q, out   q + (s * q_rows_per_sequence + t) * q_row_stride + h * HEAD_DIM + c         t in [0, queries)
//   k, v     k + (s * kv_rows_per_sequence + j) * kv_row_stride + g * HEAD_DIM + c       j in [0, first_position + queries)
// Output rows of a sequence are q_rows_per_sequence apart, like q's. Strides are multiples of 8, pointers 16-byte aligned, out
// overlaps no input. Key rows from first_position + queries on are never read.
//
// Shapes fixed at compile time: HEAD_DIM, a multiple of 8 in [8, 256].
//
// Launch: grid (heads, ceil(queries / query tile), sequences), longest query tiles first; block and dynamic shared bytes:
//
//   HEAD_DIM          device    query tile   block   dynamic shared bytes
//     8 ...  64       sm_90a       192        512    2 * 64 * (192 + 4 * 128) + 1088      =  91200
//    72 ... 128       sm_90a       128        384    2 * 128 * (128 + 4 * 128) + 1088     = 164928
//     8 ... 128       other        128        128    2 * (round_up(HEAD_DIM, 16) + 8) * (128 + 2 * 64)
//   136 ... 256       any           64        128    2 * (round_up(HEAD_DIM, 16) + 8) * (64 + 2 * 64)
//
// The module states its own row of the table in attention_launch: {block, query tile, dynamic shared bytes}.
//
// A row's running maximum m and sum l are kept in the score's base-2 units, and weights are 2^(score - m + WEIGHT_SHIFT): the
// shift cancels in the division by l and keeps small weights clear of fp16's subnormals. NaN in a query's visible keys or values
// or in the query itself comes out as NaN.

#include "common.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) && HEAD_DIM <= 128
#define WARPGROUP_KERNEL 1
#else
#define WARPGROUP_KERNEL 0
#endif

static_assert(HEAD_DIM % 8 == 0 && HEAD_DIM >= 8 && HEAD_DIM <= 256, "HEAD_DIM must be a multiple of 8 from 8 to 256");

constexpr float MINUS_INFINITY = -__builtin_huge_valf();
constexpr float WEIGHT_SHIFT = 14.0f;

// log2(e) / sqrt(HEAD_DIM): scores in base-2 units.
DEVICE float score_scale() { return 1.4426950408889634f * rsqrtf((float)HEAD_DIM); }

DEVICE float power_of_two(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// --- what a block works on ----------------------------------------------------------------------------------------

struct Tile {
    const half_t* q;     // first query row of the tile, this head
    const half_t* k;     // key row 0 of the sequence, this head's group
    const half_t* v;
    half_t* out;
    int query_rows;      // rows of the tile that exist
    int first_position;  // of the tile's first row
    int visible;         // keys seen by the tile's last row
};

template <int QUERY_TILE>
DEVICE Tile tile_of_block(const half_t* q, long long q_row_stride, const half_t* k, const half_t* v, long long kv_row_stride,
                          half_t* out, long long out_row_stride, int heads, int kv_heads, int queries, int first_position,
                          long long q_rows_per_sequence, long long kv_rows_per_sequence) {
    int head = blockIdx.x;
    int first_row = (int)(gridDim.y - 1 - blockIdx.y) * QUERY_TILE;
    int group = head / (heads / kv_heads);
    long long row = blockIdx.z * q_rows_per_sequence + first_row;
    long long kv_offset = blockIdx.z * kv_rows_per_sequence * kv_row_stride + (long long)group * HEAD_DIM;
    int query_rows = min(QUERY_TILE, queries - first_row);
    int position = first_position + first_row;
    return {q + row * q_row_stride + (long long)head * HEAD_DIM, k + kv_offset, v + kv_offset,
            out + row * out_row_stride + (long long)head * HEAD_DIM, query_rows, position, position + query_rows};
}

// --- softmax over fragments -----------------------------------------------------------------------------------------
//
// A thread holds, of each 16 x 8 block n of a product, c[n][0..1] in row r = lane / 4 and c[n][2..3] in row r + 8, columns
// 8 n + 2 (lane % 4) and the next. The four lanes of a quad share their rows.

DEVICE float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

DEVICE float quad_sum(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// position: of the query in row r.
template <int N>
DEVICE void mask_future(float (&scores)[N][4], int first_key, int position) {
    int key = first_key + 2 * (threadIdx.x % 4);
#pragma unroll
    for (int n = 0; n < N; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (key + 8 * n + i % 2 > position + i / 2 * 8) scores[n][i] = MINUS_INFINITY;
        }
    }
}

// Turns scores into weights and brings row_max and this thread's part of row_sum up to date. rescale: what sums so far are to
// be multiplied by. Scores of -infinity throughout (infinite inputs) leave weights of zero.
template <int N>
DEVICE void softmax(float (&scores)[N][4], float (&row_max)[2], float (&row_sum)[2], float (&rescale)[2]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float high = fmaxf(scores[0][2 * half], scores[0][2 * half + 1]);
#pragma unroll
        for (int n = 1; n < N; ++n) high = fmaxf(high, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
        high = fmaxf(row_max[half], quad_max(high) * score_scale());
        rescale[half] = high == MINUS_INFINITY ? 1.0f : power_of_two(row_max[half] - high);
        row_max[half] = high;
        float offset = high == MINUS_INFINITY ? 0.0f : WEIGHT_SHIFT - high;
        float sum = 0.0f;
#pragma unroll
        for (int n = 0; n < N; ++n) {
#pragma unroll
            for (int i = 2 * half; i < 2 * half + 2; ++i) {
                scores[n][i] = power_of_two(fmaf(scores[n][i], score_scale(), offset));
                sum += scores[n][i];
            }
        }
        row_sum[half] = row_sum[half] * rescale[half] + sum;
    }
}

template <int N>
DEVICE void scale_rows(float (&c)[N][4], const float (&factor)[2]) {
#pragma unroll
    for (int n = 0; n < N; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) c[n][i] *= factor[i / 2];
    }
}

// Weights of 16 keys (blocks 2 i and 2 i + 1) as the left operand of the second product.
template <int N>
DEVICE void pack_weights(u32 (&a)[4], const float (&weights)[N][4], int i) {
    a[0] = pack_half2(weights[2 * i][0], weights[2 * i][1]);
    a[1] = pack_half2(weights[2 * i][2], weights[2 * i][3]);
    a[2] = pack_half2(weights[2 * i + 1][0], weights[2 * i + 1][1]);
    a[3] = pack_half2(weights[2 * i + 1][2], weights[2 * i + 1][3]);
}

// Divides by the rows' sums and writes rows first_row + r and + r + 8 of the tile.
template <int N>
DEVICE void write_rows(const Tile& tile, long long out_row_stride, int first_row, const float (&sums)[N][4],
                       const float (&row_sum)[2]) {
    int column = 2 * (threadIdx.x % 4);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        float factor = 1.0f / quad_sum(row_sum[half]);
        int row = first_row + threadIdx.x % 32 / 4 + 8 * half;
        if (row >= tile.query_rows) continue;
        u32* to = (u32*)(tile.out + row * out_row_stride + column);
#pragma unroll
        for (int n = 0; n < HEAD_DIM / 8; ++n) {
            to[4 * n] = pack_half2(sums[n][2 * half] * factor, sums[n][2 * half + 1] * factor);
        }
    }
}

#if !WARPGROUP_KERNEL
// --- sm_80 and later: m16n8k16 --------------------------------------------------------------------------------------
//
// Four warps, each with M_TILES times 16 query rows. Shared memory, rows of PITCH elements, an odd number of 16-byte units, so
// that the eight rows an ldmatrix reads lie in different banks:
//
//   q [QUERY_TILE][PITCH] | k [KEY_TILE][PITCH] | v [KEY_TILE][PITCH]          columns from HEAD_DIM on are zero
//
// v of a step is on its way while the scores are computed, k of the next one during the softmax and the second product.

constexpr int THREADS = 128;
constexpr int M_TILES = HEAD_DIM <= 128 ? 2 : 1;
constexpr int QUERY_TILE = 4 * 16 * M_TILES;
constexpr int KEY_TILE = 64;
constexpr int COLUMNS = (HEAD_DIM + 15) / 16 * 16;
constexpr int PITCH = COLUMNS + 8;
constexpr int SHARED_BYTES = 2 * PITCH * (QUERY_TILE + 2 * KEY_TILE);

// Starts the copy of a tile; rows from `rows` on become zeros and are not read.
template <int TILE_ROWS>
DEVICE void load_tile(u32 to, const half_t* from, long long row_stride, int rows) {
    constexpr int UNITS = COLUMNS / 8;
    constexpr int LANES = UNITS <= 2 ? 2 : UNITS <= 4 ? 4 : UNITS <= 8 ? 8 : UNITS <= 16 ? 16 : 32;
    int unit = threadIdx.x % LANES;
    int row = threadIdx.x / LANES;
    if (unit >= UNITS) return;
    bool exists = unit * 8 < HEAD_DIM;
    const half_t* source = from + row * row_stride + (exists ? unit * 8 : 0);
    to += 2 * (row * PITCH + unit * 8);
#pragma unroll
    for (int i = 0; i < TILE_ROWS; i += THREADS / LANES) {
        if (TILE_ROWS % (THREADS / LANES) != 0 && row + i >= TILE_ROWS) return;
        bool read = exists && row + i < rows;
        copy_async16(to + 2 * i * PITCH, read ? source + i * row_stride : from, read ? 16 : 0);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    attention(const half_t* q, long long q_row_stride, const half_t* k, const half_t* v, long long kv_row_stride, half_t* out,
              long long out_row_stride, int heads, int kv_heads, int queries, int first_position,
              long long q_rows_per_sequence, long long kv_rows_per_sequence) {
    extern __shared__ __align__(16) unsigned char shared[];
    Tile tile = tile_of_block<QUERY_TILE>(q, q_row_stride, k, v, kv_row_stride, out, out_row_stride, heads, kv_heads, queries,
                                          first_position, q_rows_per_sequence, kv_rows_per_sequence);
    u32 q_tile = shared_address(shared);
    u32 k_tile = q_tile + 2 * QUERY_TILE * PITCH;
    u32 v_tile = k_tile + 2 * KEY_TILE * PITCH;

    int lane = threadIdx.x % 32;
    int first_row = threadIdx.x / 32 * 16 * M_TILES;
    u32 q_fragment = q_tile + 2 * ((first_row + lane % 16) * PITCH + lane / 16 * 8);
    u32 k_fragment = k_tile + 2 * ((lane % 8 + lane / 16 * 8) * PITCH + lane / 8 % 2 * 8);
    u32 v_fragment = v_tile + 2 * (lane % 16 * PITCH + lane / 16 * 8);

    float sums[M_TILES][COLUMNS / 8][4] = {};
    float row_max[M_TILES][2];
    float row_sum[M_TILES][2] = {};
#pragma unroll
    for (int m = 0; m < M_TILES; ++m) row_max[m][0] = row_max[m][1] = MINUS_INFINITY;

    wait_for_previous_kernel();
    load_tile<QUERY_TILE>(q_tile, tile.q, q_row_stride, tile.query_rows);
    load_tile<KEY_TILE>(k_tile, tile.k, kv_row_stride, tile.visible);
    copy_async_commit();

    int last_position = tile.first_position + first_row + 16 * M_TILES - 1;  // of this warp's rows
    for (int key = 0; key < tile.visible; key += KEY_TILE) {
        copy_async_wait<0>();
        __syncthreads();  // k is there, v of the step before is used up
        load_tile<KEY_TILE>(v_tile, tile.v + key * kv_row_stride, kv_row_stride, tile.visible - key);
        copy_async_commit();

        bool sees_keys = key <= last_position;
        float scores[M_TILES][KEY_TILE / 8][4] = {};
        if (sees_keys) {
#pragma unroll
            for (int c = 0; c < COLUMNS / 16; ++c) {
                u32 a[M_TILES][4];
#pragma unroll
                for (int m = 0; m < M_TILES; ++m) load_matrix_x4(a[m], q_fragment + 2 * (m * 16 * PITCH + c * 16));
#pragma unroll
                for (int n = 0; n < KEY_TILE / 16; ++n) {
                    u32 b[4];
                    load_matrix_x4(b, k_fragment + 2 * (n * 16 * PITCH + c * 16));
#pragma unroll
                    for (int m = 0; m < M_TILES; ++m) {
                        mma_16x8x16(scores[m][2 * n], a[m], b[0], b[1]);
                        mma_16x8x16(scores[m][2 * n + 1], a[m], b[2], b[3]);
                    }
                }
            }
        }

        copy_async_wait<0>();
        __syncthreads();  // v is there, k is used up
        if (key + KEY_TILE < tile.visible) {
            load_tile<KEY_TILE>(k_tile, tile.k + (key + KEY_TILE) * kv_row_stride, kv_row_stride,
                                tile.visible - key - KEY_TILE);
            copy_async_commit();
        }
        if (!sees_keys) continue;

        int position = tile.first_position + first_row;
        if (key + KEY_TILE > position + 1) {
#pragma unroll
            for (int m = 0; m < M_TILES; ++m) mask_future(scores[m], key, position + m * 16 + lane / 4);
        }
#pragma unroll
        for (int m = 0; m < M_TILES; ++m) {
            float rescale[2];
            softmax(scores[m], row_max[m], row_sum[m], rescale);
            scale_rows(sums[m], rescale);
        }
#pragma unroll
        for (int i = 0; i < KEY_TILE / 16; ++i) {
            u32 a[M_TILES][4];
#pragma unroll
            for (int m = 0; m < M_TILES; ++m) pack_weights(a[m], scores[m], i);
#pragma unroll
            for (int n = 0; n < COLUMNS / 16; ++n) {
                u32 b[4];
                load_matrix_x4_transposed(b, v_fragment + 2 * (i * 16 * PITCH + n * 16));
#pragma unroll
                for (int m = 0; m < M_TILES; ++m) {
                    mma_16x8x16(sums[m][2 * n], a[m], b[0], b[1]);
                    mma_16x8x16(sums[m][2 * n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }
#pragma unroll
    for (int m = 0; m < M_TILES; ++m) write_rows(tile, out_row_stride, first_row + m * 16, sums[m], row_sum[m]);
}
#endif

#if WARPGROUP_KERNEL
// --- sm_90a: wgmma --------------------------------------------------------------------------------------------------
//
// One producer warpgroup copies keys and values, each consumer warpgroup owns 64 query rows. While a consumer's tensor cores
// work on the values of a step and the keys of the next, its other units work on that next step's softmax; consumers take
// turns in issuing, so that one's softmax runs under another's products.
//
// Shared memory: tiles of PANELS panels of 64 columns; a panel's rows are 128 bytes, whose 16-byte units are permuted by
// unit ^ (row % 8), the tensor cores' 128-byte swizzle. Columns from HEAD_DIM on are zero.
//
//   q [PANELS][QUERY_TILE][64] | k [STAGES][PANELS][KEY_TILE][64] | v [STAGES][PANELS][KEY_TILE][64] | barriers

constexpr int CONSUMERS = HEAD_DIM <= 64 ? 3 : 2;
constexpr int THREADS = 128 * (1 + CONSUMERS);
constexpr int QUERY_TILE = 64 * CONSUMERS;
constexpr int KEY_TILE = 128;
constexpr int STAGES = 2;
#ifndef TURNS
#define TURNS 1
#endif
constexpr int PANELS = (HEAD_DIM + 63) / 64;
constexpr int COLUMNS = 64 * PANELS;
constexpr int TILE_BYTES = 2 * KEY_TILE * COLUMNS;
constexpr int SHARED_BYTES = 2 * QUERY_TILE * COLUMNS + 2 * STAGES * TILE_BYTES + 64 + 1024;  // 1024 to align the start
constexpr int PRODUCER_REGISTERS = CONSUMERS == 2 ? 40 : 32;
constexpr int CONSUMER_REGISTERS = CONSUMERS == 2 ? 232 : 160;

// Barriers of the tiles, one a stage: full when the producer's four warps have filled it, free when all consumer warps are done.
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

// Named barriers 1 ... CONSUMERS pass the turn to issue; the next CONSUMERS are a consumer's own.
DEVICE void named_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
DEVICE void named_arrive(int id, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory"); }

// Ordinary writes to shared memory become visible to the tensor cores.
DEVICE void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

template <int PENDING>
DEVICE void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

#define REGISTERS_4(c, n) "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])
#define REGISTERS_16(c, n) REGISTERS_4(c, n), REGISTERS_4(c, n + 1), REGISTERS_4(c, n + 2), REGISTERS_4(c, n + 3)
#define REGISTERS_32(c, n) REGISTERS_16(c, n), REGISTERS_16(c, n + 4)
#define NAMES_32 \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define NAMES_64 \
    NAMES_32 \
    ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60," \
    "%61,%62,%63"

// Keeps the compiler from moving accesses to a product's registers across this point.
template <int N>
DEVICE void pin(float (&c)[N][4]) {
#pragma unroll
    for (int n = 0; n < N; n += 8) asm volatile("" : REGISTERS_32(c, n)::"memory");
}

// A tile in 128-byte swizzle: groups of eight rows are 1024 bytes apart, panels panel_bytes (used where columns, not rows, are
// the product's long side). To step by n bytes, add n / 16.
DEVICE u64 tile_descriptor(u32 address, int panel_bytes) {
    return (u64)(address >> 4) | (u64)(panel_bytes >> 4) << 16 | (u64)(1024 >> 4) << 32 | 1ull << 62;
}

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
    named_sync(1 + CONSUMERS + consumer, 128);

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

    auto multiply_keys = [&](int stage) {
        pin(scores);
        wgmma_fence();
#pragma unroll
        for (int c = 0; c < COLUMNS / 16; ++c) {
            wgmma_keys(scores, q_descriptor + (c / 4 * 128 * QUERY_TILE + c % 4 * 32) / 16,
                       k_descriptor + (stage * TILE_BYTES + c / 4 * 128 * KEY_TILE + c % 4 * 32) / 16, c > 0);
        }
        wgmma_commit();
    };
    auto multiply_values = [&](int stage) {
        pin(sums);
        wgmma_fence();
#pragma unroll
        for (int i = 0; i < KEY_TILE / 16; ++i) {
            wgmma_values(sums, weights[i], v_descriptor + (stage * TILE_BYTES + i * 16 * 128) / 16);
        }
        wgmma_commit();
    };
    auto weigh = [&](int step) {
        if ((step + 1) * KEY_TILE > tile.first_position + 64 * consumer + 1) {
            mask_future(scores, step * KEY_TILE, tile.first_position + first_row + threadIdx.x % 32 / 4);
        }
        softmax(scores, row_max, row_sum, rescale);
    };
    auto pack = [&]() {
#pragma unroll
        for (int i = 0; i < KEY_TILE / 16; ++i) pack_weights(weights[i], scores, i);
    };

    barrier_wait(barriers.k_full(), 0);
    multiply_keys(0);
    wgmma_wait<0>();
    pin(scores);
    barrier_arrive(barriers.k_free());
    weigh(0);
    pack();
    if (TURNS && consumer == CONSUMERS - 1 && steps > 1) named_arrive(1, 256);
    for (int step = 1; step < steps; ++step) {
        int stage = step % STAGES;
        int previous = (step - 1) % STAGES;
        barrier_wait(barriers.k_full() + 8 * stage, step / STAGES % 2);
        if (TURNS) named_sync(1 + consumer, 256);
        multiply_keys(stage);
        barrier_wait(barriers.v_full() + 8 * previous, (step - 1) / STAGES % 2);
        multiply_values(previous);
        if (TURNS && !(consumer == CONSUMERS - 1 && step == steps - 1)) named_arrive(1 + (consumer + 1) % CONSUMERS, 256);
        wgmma_wait<1>();
        pin(scores);
        barrier_arrive(barriers.k_free() + 8 * stage);
        weigh(step);
        wgmma_wait<0>();
        pin(sums);
        barrier_arrive(barriers.v_free() + 8 * previous);
        scale_rows(sums, rescale);
        pack();
    }
    barrier_wait(barriers.v_full() + 8 * ((steps - 1) % STAGES), (steps - 1) / STAGES % 2);
    multiply_values((steps - 1) % STAGES);
    wgmma_wait<0>();
    pin(sums);
    write_rows(tile, out_row_stride, first_row, sums, row_sum);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    attention(const half_t* q, long long q_row_stride, const half_t* k, const half_t* v, long long kv_row_stride, half_t* out,
              long long out_row_stride, int heads, int kv_heads, int queries, int first_position,
              long long q_rows_per_sequence, long long kv_rows_per_sequence) {
    extern __shared__ __align__(1024) unsigned char shared[];
    Tile tile = tile_of_block<QUERY_TILE>(q, q_row_stride, k, v, kv_row_stride, out, out_row_stride, heads, kv_heads, queries,
                                          first_position, q_rows_per_sequence, kv_rows_per_sequence);
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
    wait_for_previous_kernel();
    int warpgroup = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);  // uniform to the compiler too
    if (warpgroup == 0) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(PRODUCER_REGISTERS));
        produce(tile, kv_row_stride, k_tiles, v_tiles, barriers);
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(CONSUMER_REGISTERS));
        consume(tile, q_row_stride, out_row_stride, q_tile, k_tiles, v_tiles, barriers, warpgroup - 1);
    }
}
#endif

extern "C" __constant__ int attention_launch[3] = {THREADS, QUERY_TILE, SHARED_BYTES};
