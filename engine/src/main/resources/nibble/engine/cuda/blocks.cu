// GGUF's blocks in the layout of blocks.cuh: brought into it, expanded for a matrix product, looked up as embeddings. -DBLOCK_TYPE=number of
// the type in a file.
//
//   block_repack      at loading: rows of a part of a matrix that was zero before. Row i goes to row offset + (i / 8) * spread + i % 8.
//                     `blocks` holds rows of in / BLOCK_COLUMNS blocks, in order; or, with a head size, each head's rows as a file
//                     interleaves them. overflow counts values that fp16 does not hold.
//                     grid (tiles from the part's first to its last, units), block 256
//   block_dequantize  exactly fp16(value); arguments, grid and order of rows as of w4_dequantize
//   block_embed       to[i] = fp16(row ids[i] of the matrix), [ids, in]     grid ids, block 256
//
// in is a multiple of BLOCK_COLUMNS; rows is any number, and a multiple of 8 where a part follows.

#include "block_units.cuh"

typedef BlockType<BLOCK_TYPE> T;

// --- a block of a file --------------------------------------------------------------------------------------------------

DEVICE int low_nibbles(const unsigned char* qs, int i) { return qs[i % 16] >> i / 16 * 4 & 15; }  // of 32: 0..15 are the low ones

DEVICE u32 half_at(const unsigned char* at) { return at[0] | (u32)at[1] << 8; }

// Code i of a block.
DEVICE int file_code(const unsigned char* b, int i) {
    int l = i % 32, h = i / 128, j = i % 128 / 32;
    if constexpr (BLOCK_TYPE == Q4_0 || BLOCK_TYPE == IQ4_NL) return low_nibbles(b + 2, i);
    if constexpr (BLOCK_TYPE == Q4_1) return low_nibbles(b + 4, i);
    if constexpr (BLOCK_TYPE == Q5_0) return low_nibbles(b + 6, i) | (b[2 + i / 8] >> i % 8 & 1) << 4;
    if constexpr (BLOCK_TYPE == Q5_1) return low_nibbles(b + 8, i) | (b[4 + i / 8] >> i % 8 & 1) << 4;
    if constexpr (BLOCK_TYPE == Q8_0) return b[2 + i] ^ 128;
    if constexpr (BLOCK_TYPE == Q2_K) return b[16 + 32 * h + l] >> 2 * j & 3;
    if constexpr (BLOCK_TYPE == Q3_K) return (b[32 + 32 * h + l] >> 2 * j & 3) | (b[l] >> i / 32 & 1) << 2;
    if constexpr (BLOCK_TYPE == Q4_K) return b[16 + i / 64 * 32 + l] >> i / 32 % 2 * 4 & 15;
    if constexpr (BLOCK_TYPE == Q5_K) return (b[48 + i / 64 * 32 + l] >> i / 32 % 2 * 4 & 15) | (b[16 + l] >> i / 32 & 1) << 4;
    if constexpr (BLOCK_TYPE == Q6_K) return (b[64 * h + 32 * (j % 2) + l] >> j / 2 * 4 & 15) | (b[128 + 32 * h + l] >> 2 * j & 3) << 4;
    if constexpr (BLOCK_TYPE == IQ4_XS) return low_nibbles(b + 8 + i / 32 * 16, l);
    if constexpr (BLOCK_TYPE == MXFP4) return low_nibbles(b + 1, i);
    return 0;
}

// The scale of a block that begins with it, as fp16's bits.
DEVICE u32 file_scale(const unsigned char* b) {
    if constexpr (BLOCK_TYPE == MXFP4) {
        float half_power = __int_as_float(b[0] < 2 ? 0x00200000 << b[0] : (b[0] - 1) << 23);
        return to_half(half_power);
    }
    return half_at(b);
}

// Small value i of a block: scales, then minima.
DEVICE int file_small(const unsigned char* b, int i) {
    int g = i % T::GROUPS;
    if constexpr (BLOCK_TYPE == Q2_K) return b[g] >> i / T::GROUPS * 4 & 15;
    if constexpr (BLOCK_TYPE == Q3_K) return (b[96 + g % 8] >> g / 8 * 4 & 15) | (b[104 + g % 4] >> g / 4 * 2 & 3) << 4;
    if constexpr (BLOCK_TYPE == Q4_K || BLOCK_TYPE == Q5_K) {
        const unsigned char* s = b + 4;
        bool least = i >= T::GROUPS;
        if (g < 4) return s[g + (least ? 4 : 0)] & 63;
        return (s[g + 4] >> (least ? 4 : 0) & 15) | (s[g - (least ? 0 : 4)] >> 6) << 4;
    }
    if constexpr (BLOCK_TYPE == IQ4_XS) return (b[4 + g / 2] >> g % 2 * 4 & 15) | (half_at(b + 2) >> 2 * g & 3) << 4;
    return 0;
}

// Where a block has its scale, and its minimum.
constexpr int D_IN_BLOCK = BLOCK_TYPE == Q2_K ? 80 : BLOCK_TYPE == Q3_K ? 108 : BLOCK_TYPE == Q6_K ? 208 : 0;

// --- kernels --------------------------------------------------------------------------------------------------------------

DEVICE void put(u32* unit, Bits at, u32 value) { atomicOr(unit + at.word, value << at.bit); }

extern "C" __global__ void __launch_bounds__(256)
block_repack(unsigned char* matrix, const unsigned char* blocks, int in, int rows, int offset, int spread, int head_dim, int* overflow) {
    __shared__ u32 unit[T::UNIT_BYTES / 4];
    for (int i = threadIdx.x; i < T::UNIT_BYTES / 4; i += 256) unit[i] = 0;
    __syncthreads();
    int units = (in + BLOCK_UNIT_COLUMNS - 1) / BLOCK_UNIT_COLUMNS, tile = offset / 16 + blockIdx.x;
    int row = threadIdx.x / 16, slice = threadIdx.x % 16, from_first = tile * 16 + row - offset;
    int part_row = from_first / spread * 8 + from_first % spread, column = blockIdx.y * BLOCK_UNIT_COLUMNS + slice * 16;
    bool valid = from_first >= 0 && from_first % spread < 8 && part_row < rows && column < in;
    if (valid) {
        int half = head_dim / 2, within = head_dim > 0 ? part_row % head_dim : 0;
        long long file_row = head_dim > 0 ? part_row - within + 2 * (within % half) + within / half : part_row;
        const unsigned char* b = blocks + (file_row * (in / T::BLOCK_COLUMNS) + column / T::BLOCK_COLUMNS) * T::BLOCK_BYTES;
        for (int i = 0; i < 16; i++) {
            int code = file_code(b, (column + i) % T::BLOCK_COLUMNS), c = slice * 16 + i;
            put(unit, code_bits<T::LOW, T::TABLE>(0, row, c), code & ((1 << T::LOW) - 1));
            if constexpr (T::HIGH > 0) put(unit, code_bits<T::HIGH, false>(T::HIGH_AT, row, c), code >> T::LOW);
        }
        if constexpr (T::SCALES == HALVES || T::SCALES == HALVES_AND_MINIMA) {
            if (slice % 2 == 0) {
                put(unit, half_bits(T::SCALES_AT, row, 8, slice / 2), file_scale(b));
                if (T::MINIMA) put(unit, half_bits(T::SCALES_AT + 256, row, 8, slice / 2), half_at(b + 2));
            }
        } else {
            if constexpr (T::SCALES == BYTES) put(unit, byte_bits<BLOCK_TYPE>(row, slice), b[192 + slice] ^ 128);
            else {
                for (int i = slice; i < T::SMALLS; i += 16) {
                    int value = file_small(b, i);
                    put(unit, small_bits<BLOCK_TYPE>(row, i), value & 15);
                    if (T::SIX_BITS) put(unit, small_tops<BLOCK_TYPE>(row, i), value >> 4);
                }
            }
            if (slice == 0) {
                put(unit, half_bits(T::D_AT, row, 1, 0), half_at(b + D_IN_BLOCK));
                if (T::MINIMA) put(unit, half_bits(T::D_AT + 32, row, 1, 0), half_at(b + D_IN_BLOCK + 2));
            }
        }
    }
    __syncthreads();
    u32* to = (u32*)(matrix + ((long long)tile * units + blockIdx.y) * T::UNIT_BYTES);
    for (int i = threadIdx.x; i < T::UNIT_BYTES / 4; i += 256) to[i] |= unit[i];
    int beyond = 0;
    for (int i = 0; valid && i < 16; i += 4) {
        float values[4];
        block_values<BLOCK_TYPE>(values, unit, row, slice * 16 + i);
        for (int k = 0; k < 4; k++) beyond += !(fabsf(values[k]) < 65520.0f);
    }
    if (beyond > 0) atomicAdd(overflow, beyond);
}

// What a lane writes of a unit: rows r and r + 8 of the tile, 4 t columns of every 16.
struct Output {
    half_t* low;  // null where there is no such row
    half_t* high;
    int columns;  // of the unit that there are
};

DEVICE void store_four(half_t* to, u32 first, u32 second, float scale, float minimum) {
    float v[4] = {low_half(first), high_half(first), low_half(second), high_half(second)};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        v[i] = __fmul_rn(scale, v[i]);
        if (T::MINIMA) v[i] = __fadd_rn(v[i], minimum);
    }
    *(uint2*)to = make_uint2(pack_half2(v[0], v[1]), pack_half2(v[2], v[3]));
}

// The columns of mma M of a unit.
template <int M>
DEVICE void store_mma(const Output& to, const BlockScales<BLOCK_TYPE>& scales, const BlockCodes<BLOCK_TYPE>& codes) {
    constexpr int GROUP = M * 16 / T::GROUP;
    if (M * 16 >= to.columns) return;
    u32 a[4], pair = scales.template scale<GROUP>();
    codes.template expand<M % 4>(a);
    float low = low_half(pair), high = high_half(pair), low_minimum = 0, high_minimum = 0;
    if constexpr (T::MINIMA) {
        u32 minima = scales.template minimum<GROUP>();
        low_minimum = low_half(minima), high_minimum = high_half(minima);
    }
    if constexpr (T::SCALES != HALVES && T::SCALES != HALVES_AND_MINIMA) {
        low = __fmul_rn(low_half(scales.d), low), high = __fmul_rn(high_half(scales.d), high);
        if constexpr (T::MINIMA) {
            low_minimum = -__fmul_rn(low_half(scales.least), low_minimum);
            high_minimum = -__fmul_rn(high_half(scales.least), high_minimum);
        }
    }
    if (to.low) store_four(to.low + M * 16, a[0], a[2], low, low_minimum);
    if (to.high) store_four(to.high + M * 16, a[1], a[3], high, high_minimum);
}

template <int CHUNK>
DEVICE void store_chunk(const Output& to, const BlockScales<BLOCK_TYPE>& scales, const unsigned char* unit, int lane) {
    BlockCodes<BLOCK_TYPE> codes;
    codes.load(unit, CHUNK, lane);
    store_mma<4 * CHUNK>(to, scales, codes), store_mma<4 * CHUNK + 1>(to, scales, codes);
    store_mma<4 * CHUNK + 2>(to, scales, codes), store_mma<4 * CHUNK + 3>(to, scales, codes);
}

extern "C" __global__ void __launch_bounds__(256)
block_dequantize(half_t* __restrict__ to, const unsigned char* __restrict__ matrix, int in, int first_tile, int tiles,
                 int tile_stride, int half_stride, int rows) {
    int lane = threadIdx.x % 32, units = (in + BLOCK_UNIT_COLUMNS - 1) / BLOCK_UNIT_COLUMNS;
    int index = blockIdx.x * 8 + threadIdx.x / 32, tile = index / units, first_column = index % units * BLOCK_UNIT_COLUMNS;
    if (tile >= tiles) return;
    const unsigned char* unit = matrix + ((long long)(first_tile + tile) * units + index % units) * T::UNIT_BYTES;
    long long low_row = (long long)tile * tile_stride + lane / 4, high_row = low_row + half_stride;
    half_t* from_column = to + first_column + lane % 4 * 4;
    Output out = {low_row < rows ? from_column + low_row * in : nullptr, high_row < rows ? from_column + high_row * in : nullptr,
                  in - first_column};
    BlockScales<BLOCK_TYPE> scales;
    scales.load(unit, lane / 4);
    store_chunk<0>(out, scales, unit, lane), store_chunk<1>(out, scales, unit, lane);
    store_chunk<2>(out, scales, unit, lane), store_chunk<3>(out, scales, unit, lane);
}

extern "C" __global__ void __launch_bounds__(256)
block_embed(const unsigned char* __restrict__ matrix, const int* __restrict__ ids, int in, half_t* __restrict__ to) {
    int units = (in + BLOCK_UNIT_COLUMNS - 1) / BLOCK_UNIT_COLUMNS, id = ids[blockIdx.x];
    for (int c = threadIdx.x * 4; c < in; c += 1024) {
        const u32* unit = (const u32*)(matrix + ((long long)(id / 16) * units + c / BLOCK_UNIT_COLUMNS) * T::UNIT_BYTES);
        float v[4];
        block_values<BLOCK_TYPE>(v, unit, id % 16, c % BLOCK_UNIT_COLUMNS);
        *(uint2*)(to + (long long)blockIdx.x * in + c) = make_uint2(pack_half2(v[0], v[1]), pack_half2(v[2], v[3]));
    }
}
