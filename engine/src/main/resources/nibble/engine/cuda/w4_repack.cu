// Writes a 4-bit linear [rows, in] into the decode layout of w4.cuh, as the whole or as one part of a fused matrix. Runs
// once per linear, at load.
//
//   w4_repack_rows  from codes u8 [rows, in/2] (low nibble = even column), zeros u8 [rows, in/g], scales f16 [rows, in/g]
//   w4_repack_awq   from AutoAWQ's GEMM tensors qweight i32 [in, rows/8], qzeros i32 [in/g, rows/8], scales f16 [in/g, rows];
//                   output 8 c + o of a word lies at nibble o / 2 + 4 (o % 2)
//
// Row i goes to row offset + (i / 8) * spread + i % 8 (w4.cuh says which). in % 32 == 0, in % g == 0, rows % 8 == 0,
// offset % 8 == 0. Parts of one matrix must be written one after another (same stream): where two share a tile, the
// second keeps the nibbles of the first.
//
// One warp writes one unit. With first = offset / 16 and last = (offset + (rows / 8 - 1) * spread + 7) / 16:
//   grid (ceil((last - first + 1) / 8), ceil(in / 256)), block 256, no dynamic shared memory. -DGROUP_SIZE.

#include "w4.cuh"

struct RowMajorCodes {
    const unsigned char* codes;
    const unsigned char* zeros;
    const half_t* scales;
    int in, groups;

    __device__ __forceinline__ u32 eight_codes(int row, int column) const {  // nibble i = column + i
        return *(const u32*)(codes + ((long long)row * in + column) / 2);
    }
    __device__ __forceinline__ u32 zero(int row, int group) const { return zeros[(long long)row * groups + group]; }
    __device__ __forceinline__ half_t scale(int row, int group) const { return scales[(long long)row * groups + group]; }
};

struct AwqTensors {
    const u32* qweight;
    const u32* qzeros;
    const half_t* scales;
    int rows;

    __device__ __forceinline__ u32 nibble(const u32* words, int line, int row) const {
        int o = row % 8;
        return words[(long long)line * (rows / 8) + row / 8] >> 4 * (o / 2 + o % 2 * 4) & 15u;
    }
    __device__ __forceinline__ u32 eight_codes(int row, int column) const {
        u32 codes = 0;
#pragma unroll
        for (int i = 0; i < 8; i++) codes |= nibble(qweight, column + i, row) << 4 * i;
        return codes;
    }
    __device__ __forceinline__ u32 zero(int row, int group) const { return nibble(qzeros, group, row); }
    __device__ __forceinline__ half_t scale(int row, int group) const { return scales[(long long)group * rows + row]; }
};

// The row of the part that lies at a row of the matrix, or -1.
DEVICE int part_row(int matrix_row, int offset, int spread, int rows) {
    int d = matrix_row - offset;
    if (d < 0 || d % spread >= 8) return -1;
    int row = d / spread * 8 + d % spread;
    return row < rows ? row : -1;
}

// The bytes (k, k+2, k+1, k+3) of a word of the layout from 4 codes in the low nibbles 0..3 of `codes`.
DEVICE u32 spread_codes(u32 codes) {
    return (codes & 0x000fu) | (codes & 0x0f00u) | (codes & 0x00f0u) << 12 | (codes & 0xf000u) << 12;
}

template <class Source>
DEVICE void repack(unsigned char* matrix, const Source& source, int in, int rows, int offset, int spread) {
    int lane = threadIdx.x % 32, r = lane / 4, t = lane % 4;
    int units = (in + W4_UNIT_COLUMNS - 1) / W4_UNIT_COLUMNS, unit = blockIdx.y;
    int tile = offset / W4_TILE_ROWS + blockIdx.x * 8 + threadIdx.x / 32;
    int last = offset + (rows / 8 - 1) * spread + 7;
    if (tile > last / W4_TILE_ROWS) return;
    unsigned char* to = matrix + ((long long)tile * units + unit) * W4_UNIT_BYTES;

    int low = part_row(tile * W4_TILE_ROWS + r, offset, spread, rows);
    int high = part_row(tile * W4_TILE_ROWS + 8 + r, offset, spread, rows);
    u32 keep = (low < 0 ? 0x0f0f0f0fu : 0) | (high < 0 ? 0xf0f0f0f0u : 0);
    for (int piece = 0; piece < 8; piece++) {  // 32 columns
        int column = unit * W4_UNIT_COLUMNS + piece * 32 + t * 8;
        u32 a = low >= 0 && column < in ? source.eight_codes(low, column) : 0;
        u32 b = high >= 0 && column < in ? source.eight_codes(high, column) : 0;
        u32* words = (u32*)(to + piece / 2 * 512 + lane * 16 + piece % 2 * 8);
        u32 first = spread_codes(a) | spread_codes(b) << 4;
        u32 second = spread_codes(a >> 16) | spread_codes(b >> 16) << 4;
        words[0] = keep ? (words[0] & keep) | first : first;
        words[1] = keep ? (words[1] & keep) | second : second;
    }
    for (int i = lane; i < W4_GROUPS * 8; i += 32) {
        int group = w4_group(unit, i / 8);
        bool inside = unit * W4_UNIT_COLUMNS + i / 8 * (W4_UNIT_COLUMNS / W4_GROUPS) < in;
        low = part_row(tile * W4_TILE_ROWS + i % 8, offset, spread, rows);
        high = part_row(tile * W4_TILE_ROWS + 8 + i % 8, offset, spread, rows);
        half_t* scales = (half_t*)(to + W4_CODE_BYTES) + 2 * i;
        unsigned char* zeros = to + W4_CODE_BYTES + W4_SCALE_BYTES + i;
        u32 zero = *zeros;
        if (low >= 0) {
            scales[0] = inside ? source.scale(low, group) : 0;
            zero = (zero & 0xf0u) | (inside ? source.zero(low, group) : 0);
        }
        if (high >= 0) {
            scales[1] = inside ? source.scale(high, group) : 0;
            zero = (zero & 0x0fu) | (inside ? source.zero(high, group) << 4 : 0);
        }
        *zeros = (unsigned char)zero;
    }
}

extern "C" __global__ void __launch_bounds__(256)
w4_repack_rows(unsigned char* matrix, const unsigned char* codes, const unsigned char* zeros, const half_t* scales, int in,
               int rows, int offset, int spread) {
    int groups = GROUP_SIZE == 0 ? 1 : in / (GROUP_SIZE + (GROUP_SIZE == 0));
    repack(matrix, RowMajorCodes{codes, zeros, scales, in, groups}, in, rows, offset, spread);
}

extern "C" __global__ void __launch_bounds__(256)
w4_repack_awq(unsigned char* matrix, const u32* qweight, const u32* qzeros, const half_t* scales, int in, int rows, int offset,
              int spread) {
    repack(matrix, AwqTensors{qweight, qzeros, scales, rows}, in, rows, offset, spread);
}
