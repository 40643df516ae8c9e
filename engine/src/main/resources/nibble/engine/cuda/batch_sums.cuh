// How blocks of batch_linear.cuh add up the sums of a chunk that several of them have a part of, and where its sums go. Part of
// batch_linear.cuh, which includes this behind what it uses.

#pragma once

// Where four rows of a chunk go in out: to `columns` columns from `column`; out is null where nobody wants them.
struct Place {
    void* out;
    int column, columns;

    DEVICE_MEMBER Place(const Product& p, int matrix_row) : out(nullptr), column(0), columns(0) {
#pragma unroll
        for (int i = 0; i < 3; i++) {
            int d = (matrix_row & ~7) - p.parts[i].offset;
            if (d < 0 || d % p.spread != 0) continue;
            int first = d / p.spread * 8 + matrix_row % 8;
            if (first < p.parts[i].columns) out = p.parts[i].out, column = first, columns = p.parts[i].columns;
        }
    }
};

// Four rows of a chunk for rows first + AT_ONCE i of x, i < count; sums: in shared memory, stride apart. All that is added to is on its
// way together.
template <int COUNT>
DEVICE void store_rows(const Product& p, const Place& place, int first, int step, int end, const float* sums, int stride) {
    long long at = (long long)first * place.columns + place.column;
    long long next = (long long)step * place.columns;
    if (place.columns % 4 == 0 && p.single) {
        float4* to = (float4*)((float*)place.out + at);
        float4 before[COUNT];
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            before[i] = make_float4(0, 0, 0, 0);
            if (p.accumulate && first + i * step < end) before[i] = to[i * next / 4];
        }
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            float4 sum = *(const float4*)(sums + i * stride), b = before[i];
            if (first + i * step < end) to[i * next / 4] = make_float4(sum.x + b.x, sum.y + b.y, sum.z + b.z, sum.w + b.w);
        }
    } else if (place.columns % 4 == 0) {
        uint2* to = (uint2*)((half_t*)place.out + at);
        uint2 before[COUNT];
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            before[i] = make_uint2(0, 0);
            if (p.accumulate && first + i * step < end) before[i] = to[i * next / 4];
        }
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            float4 sum = *(const float4*)(sums + i * stride);
            uint2 b = before[i];
            if (first + i * step < end) {
                to[i * next / 4] = make_uint2(pack_half2(sum.x + low_half(b.x), sum.y + high_half(b.x)),
                                              pack_half2(sum.z + low_half(b.y), sum.w + high_half(b.y)));
            }
        }
    } else {
        for (int i = 0; i < COUNT && first + i * step < end; i++, at += next) {
            for (int k = 0; k < 4 && place.column + k < place.columns; k++) {
                float value = sums[i * stride + k];
                if (p.single) {
                    float* to = (float*)place.out + at + k;
                    *to = p.accumulate ? *to + value : value;
                } else {
                    half_t* to = (half_t*)place.out + at + k;
                    *to = to_half(p.accumulate ? to_float(*to) + value : value);
                }
            }
        }
    }
}

// What the block has written before comes before it, and what others had written before theirs is seen after it.
DEVICE int take_ticket(int* tickets) {
    int before;
    asm volatile("atom.add.acq_rel.gpu.global.s32 %0, [%1], 1;" : "=r"(before) : "l"(tickets) : "memory");
    return before;
}

// By the warps that multiply: adds what blocks first ... end - 1 have of a chunk, in order.
DEVICE void add_others(const Product& p, const Share& share, BatchSums& sum, int chunk_step, int first, int end) {
    // Of as many blocks at a time as there are registers for.
    constexpr int OF_BLOCK = WARP_TILES * N_TILES, AT_ONCE = OF_BLOCK < 16 ? OF_BLOCK : 16, BLOCKS = 16 / AT_ONCE;
    for (int block = first; block < end; block += BLOCKS) {
#pragma unroll
        for (int i = 0; i < OF_BLOCK; i += AT_ONCE) {
            float4 some[BLOCKS][AT_ONCE];
#pragma unroll
            for (int b = 0; b < BLOCKS; b++) {
                const float4* from = partial_of(p, share, min(block + b, end - 1), chunk_step) + i * 32;
#pragma unroll
                for (int k = 0; k < AT_ONCE; k++) some[b][k] = load_shared_result(from + k * 32);
            }
#pragma unroll
            for (int b = 0; b < BLOCKS; b++) {
                if (block + b >= end) break;
#pragma unroll
                for (int k = 0; k < AT_ONCE; k++) {
                    float(&s)[4] = sum[(i + k) / N_TILES][(i + k) % N_TILES];
                    s[0] += some[b][k].x, s[1] += some[b][k].y, s[2] += some[b][k].z, s[3] += some[b][k].w;
                }
            }
        }
    }
}

DEVICE int tickets_taken(const int* tickets) {
    int taken;
    asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(taken) : "l"(tickets) : "memory");
    return taken;
}

// By the warps that multiply: to the sums of all blocks that have a part of the chunk, in order. False but for the last of them.
// taken: in thread 0, tickets of the chunk when the block's last step of it began. Mostly the others are done by then: the block that
// has a chunk's first steps comes to them last.
DEVICE bool add_up(const Product& p, const Share& share, BatchSums& sum, int chunk, int taken) {
    __shared__ int last;
    int chunk_step = chunk * share.units;
    int first = share.block_of(chunk_step), end = share.block_of(chunk_step + share.units - 1) + 1;
    if (end - first == 1) return true;
    if (LOOKS_AHEAD) {
        if (threadIdx.x == 0) {
            last = taken == end - first - 1 && (int)blockIdx.x == first;
            if (last) p.tickets[chunk] = 0;
        }
        sync_threads<BATCH_THREADS>();
        if (last) {
            add_others(p, share, sum, chunk_step, first + 1, end);
            return true;
        }
    }
    float4* to = partial_of(p, share, blockIdx.x, chunk_step);
#pragma unroll
    for (int i = 0; i < WARP_TILES * N_TILES; i++) {
        float(&s)[4] = sum[i / N_TILES][i % N_TILES];
        to[i * 32] = make_float4(s[0], s[1], s[2], s[3]);
    }
    sync_threads<BATCH_THREADS>();
    if (threadIdx.x == 0) {
        last = take_ticket(p.tickets + chunk) == end - first - 1;
        if (last) p.tickets[chunk] = 0;
    }
    sync_threads<BATCH_THREADS>();
    if (!last) return false;
#pragma unroll
    for (int i = 0; i < WARP_TILES * N_TILES; i++) {
#pragma unroll
        for (int k = 0; k < 4; k++) sum[i / N_TILES][i % N_TILES][k] = 0;
    }
    add_others(p, share, sum, chunk_step, first, end);
    return true;
}

// By the warps that multiply: a chunk's sums to out, through shared memory.
DEVICE void store_chunk(const Product& p, const BatchSums& sum, float* scratch, int chunk) {
    constexpr int LANES = CHUNK_ROWS / 4, AT_ONCE = BATCH_THREADS / LANES;
    int lane = threadIdx.x % 32, row = threadIdx.x % LANES * 4, own = threadIdx.x / LANES;
    Place place(p, chunk * CHUNK_ROWS + row);
#pragma unroll
    for (int first = 0; first < ROWS; first += SUM_ROWS) {
        if (first >= p.rows) break;
        if (first > 0) sync_threads<BATCH_THREADS>();
#pragma unroll
        for (int n = 0; n < SUM_ROWS / 8; n++) {
#pragma unroll
            for (int tile = 0; tile < WARP_TILES; tile++) {
                float* to = scratch + (8 * n + lane % 4 * 2) * SUM_STRIDE + tile_of_warp(tile) * 16 + lane / 4;
                const float(&s)[4] = sum[tile][first / 8 + n];
                to[0] = s[0], to[SUM_STRIDE] = s[1], to[8] = s[2], to[SUM_STRIDE + 8] = s[3];
            }
        }
        sync_threads<BATCH_THREADS>();
        if (place.out) {
            store_rows<SUM_ROWS / AT_ONCE>(p, place, first + own, AT_ONCE, min(first + SUM_ROWS, p.rows), scratch + own * SUM_STRIDE + row,
                                           AT_ONCE * SUM_STRIDE);
        }
    }
}
