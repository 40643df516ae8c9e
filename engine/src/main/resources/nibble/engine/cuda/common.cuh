// What all kernels share. No header of the toolkit is included anywhere, so that NVRTC alone can compile them.
//
// fp16 values are held as their bits (half_t, or two of them in a 32-bit word, the lower address in the low half) and all
// arithmetic on them is done in fp32, except inside the tensor cores.

#pragma once

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif

typedef unsigned short half_t;
typedef unsigned int u32;
typedef unsigned long long u64;

#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__

// Whether two types are one; NVRTC has neither <type_traits> nor the built-in of other compilers.
template <class A, class B>
struct SameType {
    static constexpr bool value = false;
};
template <class A>
struct SameType<A, A> {
    static constexpr bool value = true;
};

// A kernel may take its arguments as one struct by value. A list F(type, name) F(type, name) ... makes both the struct and the
// array that tells a launcher its fields, in their order; each is as wide as its alignment.
struct Field {
    char name[24];
    int bytes;
};
#define STRUCT_MEMBER(TYPE, NAME) TYPE NAME;
#define STRUCT_FIELD(TYPE, NAME) {#NAME, (int)sizeof(TYPE)},

// to[j] = from[columns[j]], 0 for -2; for -1 it stays.  Of one row, by the threads of a block.
template <class T>
DEVICE void gather_columns_of(const T* from, const int* columns, int n, T* to) {
    for (int j = threadIdx.x; j < n; j += blockDim.x) {
        int column = columns[j];
        if (column != -1) to[j] = column < 0 ? T(0) : from[column];
    }
}

// --- fp16 <-> fp32 ------------------------------------------------------------------------------------------------

DEVICE float to_float(half_t h) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
    return f;
}

DEVICE half_t to_half(float f) {  // to nearest, ties to even
    half_t h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
    return h;
}

DEVICE u32 pack_half2(float low, float high) {
    u32 word;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

DEVICE u32 subtract_half2(u32 a, u32 b) {
    u32 d;
    asm("sub.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}

DEVICE float low_half(u32 word) { return to_float((half_t)(word & 0xffffu)); }
DEVICE float high_half(u32 word) { return to_float((half_t)(word >> 16)); }

DEVICE float bf16_to_float(half_t bits) { return __uint_as_float((u32)bits << 16); }

// A number with the 11 bits that the tensor cores use of an fp32 operand, to nearest: they would cut the others off.
DEVICE float tensor_precision(float f) { return __uint_as_float((__float_as_uint(f) + 0x1000u) & 0xffffe000u); }

// --- a warp -------------------------------------------------------------------------------------------------------

DEVICE float warp_sum(float v) {
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) v += __shfl_xor_sync(0xffffffffu, v, d);
    return v;
}

// Sum over the block in a fixed order; every thread gets it. Block: 256.
DEVICE float block_sum(float v) {
    __shared__ float parts[8];
    v = warp_sum(v);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) sum += parts[i];
    __syncthreads();
    return sum;
}

DEVICE float warp_max(float v) {
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, d));
    return v;
}

// A row of fp16, by a block.
DEVICE void copy_row(const half_t* from, half_t* to, int columns) {
    if (columns % 8 == 0) {
        for (int i = threadIdx.x; i < columns / 8; i += blockDim.x) ((uint4*)to)[i] = ((const uint4*)from)[i];
    } else {
        for (int i = threadIdx.x; i < columns; i += blockDim.x) to[i] = from[i];
    }
}

// The barrier of the first THREADS threads of a block; others take no part.
template <int THREADS>
DEVICE void sync_threads() {
    __syncwarp();
    asm volatile("bar.sync 1, %0;" ::"n"(THREADS) : "memory");
}

// --- asynchronous copies to shared memory (sm_80) -------------------------------------------------------------------

DEVICE u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// 16 bytes; source_bytes 0 writes zeros and reads nothing.
DEVICE void copy_async16(u32 to, const void* from, int source_bytes = 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(source_bytes) : "memory");
}

DEVICE void store_shared4(u32 to, u32 v) { asm volatile("st.shared.u32 [%0], %1;" ::"r"(to), "r"(v) : "memory"); }

DEVICE void store_shared16(u32 to, uint4 v) {
    asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}

DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int PENDING>
DEVICE void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Ordinary accesses to shared memory come before those of the tensor cores and of bulk copies that follow (sm_90).
DEVICE void fence_async_proxy() {
#if __CUDA_ARCH__ >= 900
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// --- results of the same launch, read past the L1 ---------------------------------------------------------------------

DEVICE float4 load_shared_result(const float4* from) {
    float4 v;
    asm volatile("ld.global.cg.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(from) : "memory");
    return v;
}

DEVICE float load_shared_result(const float* from) {
    float v;
    asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(v) : "l"(from) : "memory");
    return v;
}

// --- tensor cores (sm_80) -------------------------------------------------------------------------------------------

DEVICE void load_matrix_x4(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address));
}

DEVICE void load_matrix_x4_transposed(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address));
}

// d[16, 8] += a[16, 16] b[16, 8], fp16 in, fp32 sums.
DEVICE void mma_16x8x16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// d[16, 8] = a[16, 16] b[16, 8].
DEVICE void mma_16x8x16_first(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%10,%10,%10};"
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0f));
}

// --- programmatic dependent launch (sm_90; elsewhere kernels simply follow one another) -----------------------------

// Before the first access to what the kernel before this one wrote.
DEVICE void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
