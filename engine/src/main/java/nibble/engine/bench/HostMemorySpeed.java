package nibble.engine.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import nibble.engine.backend.Workers;
import nibble.engine.host.stored.MemoryReading;

/** How fast the host's memory is read by a loop that does nothing else. */
final class HostMemorySpeed {
    /** More than any cache of a usual machine holds. */
    private static final long BYTES = 1L << 30;

    private static final int TASK_BYTES = 1 << 20;
    private static final double ENOUGH_SECONDS = 1;

    /** Keeps the sums, so that no compiler leaves the reading out. */
    private static volatile int kept;

    private HostMemorySpeed() {}

    /** Bytes a second of the best pass. */
    static double readBytesPerSecond(int threads) {
        try (Workers workers = new Workers(threads);
                Arena arena = Arena.ofShared()) {
            MemorySegment memory = arena.allocate(BYTES, 64);
            int tasks = (int) (BYTES / TASK_BYTES);
            int[] sums = new int[tasks];
            // Written once: untouched pages would all be one page of zeros.
            workers.forEach(
                    tasks,
                    task -> memory.asSlice((long) task * TASK_BYTES, TASK_BYTES).fill((byte) task));
            double best = Double.POSITIVE_INFINITY;
            double all = 0;
            while (all < ENOUGH_SECONDS) {
                long start = System.nanoTime();
                workers.forEach(
                        tasks, task -> sums[task] = MemoryReading.sum(memory, (long) task * TASK_BYTES, TASK_BYTES));
                double seconds = (System.nanoTime() - start) / 1e9;
                best = Math.min(best, seconds);
                all += seconds;
            }
            kept = sums[0] + sums[tasks - 1];
            return BYTES / best;
        }
    }
}
