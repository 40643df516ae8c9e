package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** Reads memory as the kernels do, and does next to nothing with it: what they can reach at most. */
public final class MemoryReading {
    private MemoryReading() {}

    /**
     * Returns the sum of some 32-bit words.
     *
     * @param bytes a multiple of 256
     */
    public static int sum(MemorySegment memory, long from, int bytes) {
        long at = Stored.require(memory, from + bytes) + from;
        IntVector a = IntVector.zero(Stored.INTS);
        IntVector b = a;
        IntVector c = a;
        IntVector d = a;
        for (int i = 0; i < bytes; i += 16 * COUNT) {
            a = a.add(Stored.words(at + i));
            b = b.add(Stored.words(at + i + 4 * COUNT));
            c = c.add(Stored.words(at + i + 8 * COUNT));
            d = d.add(Stored.words(at + i + 12 * COUNT));
        }
        Reference.reachabilityFence(memory);
        return a.add(b).add(c.add(d)).reduceLanes(VectorOperators.ADD);
    }
}
