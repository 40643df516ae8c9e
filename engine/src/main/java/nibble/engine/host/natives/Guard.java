package nibble.engine.host.natives;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Tells whether a kernel read behind the end of a mapped file that was cut short while it ran. On Linux the library
 * gives such a read zeros and counts it (guard.h); the zeros stay until the file is unmapped. Without the guard the
 * system ends the process.
 */
final class Guard {
    private static final MemorySegment FAULTS = NativeFunction.counter("faults");

    /** Whether the system lets the library take the signal. */
    static final boolean IS_ON = NativeFunction.number("guard", 0) != 0;

    private Guard() {}

    /** Returns how many pages were missing up to now; a thread's own are counted at once. */
    static long faults() {
        return FAULTS.get(ValueLayout.JAVA_LONG, 0);
    }

    /**
     * Requires that no page was missing since, in a kernel of any thread.
     *
     * @throws InternalError as Java's own reads of such memory do
     */
    static void requireNone(long before) {
        if (faults() != before) {
            throw new InternalError(
                    "a native kernel read behind the end of a mapped file, which was cut short meanwhile");
        }
    }
}
