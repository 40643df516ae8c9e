// A ring of slots in shared memory through which a warp streams weights. A barrier a slot says when its contents are there: the
// copies of 32 lanes, or the bytes of one bulk copy.

#pragma once
#include "common.cuh"

#if __CUDA_ARCH__ >= 900
constexpr bool BULK_COPIES = true;
#else
constexpr bool BULK_COPIES = false;
#endif

DEVICE u64 evict_first_policy() {  // weights are read once a token: they must not push activations out of the L2
    u64 policy;
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}

// By one thread, before any other use, followed by a barrier of all that use them.
DEVICE void init_barriers(u32 barriers, int count, int arrivals) {
    for (int s = 0; s < count; s++) asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(barriers + s * 8), "r"(arrivals) : "memory");
#if __CUDA_ARCH__ >= 900
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// Whether all have arrived. parity: 0 for the first time a barrier is waited for, then 1, 0, ...
DEVICE bool barrier_passed(u32 barrier, u32 parity) {
    u32 done;
    asm volatile("{\n.reg .pred done;\nmbarrier.test_wait.parity.shared.b64 done, [%1], %2;\nselp.u32 %0, 1, 0, done;\n}"
                 : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
    return done;
}

// By a whole warp: until all have arrived.
DEVICE void barrier_wait(u32 barrier, u32 parity) {
#if __CUDA_ARCH__ >= 900
    asm volatile(
        "{\n.reg .pred done;\nagain:\nmbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n@!done bra again;\n}" ::"r"(barrier),
        "r"(parity)
        : "memory");
#else
    while (!barrier_passed(barrier, parity)) {
    }
#endif
    __syncwarp();
}

DEVICE void barrier_arrive(u32 barrier) {
    asm volatile("{\n.reg .b64 state;\nmbarrier.arrive.shared.b64 state, [%0];\n}" ::"r"(barrier) : "memory");
}

// A lane that has issued copies of its own (copy_async16) into a slot arrives once they are done.
DEVICE void arrive_when_copied(u32 barrier) {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(barrier) : "memory");
}

#if __CUDA_ARCH__ >= 900
// The one arrival of a barrier, and the bytes that copies will bring.
DEVICE void expect_bytes(u32 barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// One lane copies consecutive bytes, a multiple of 16, that the barrier expects.
DEVICE void copy_expected(u32 to, const unsigned char* from, int bytes, u32 barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to), "l"(from),
                 "r"(bytes), "r"(barrier)
                 : "memory");
}

DEVICE void copy_expected(u32 to, const unsigned char* from, int bytes, u32 barrier, u64 policy) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(to),
        "l"(from), "r"(bytes), "r"(barrier), "l"(policy)
        : "memory");
}

// The same as the one copy of a barrier.
DEVICE void copy_bulk(u32 to, const unsigned char* from, int bytes, u32 barrier, u64 policy) {
    expect_bytes(barrier, bytes);
    copy_expected(to, from, bytes, barrier, policy);
}
#endif
