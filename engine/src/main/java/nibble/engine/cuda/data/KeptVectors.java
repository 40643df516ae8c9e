package nibble.engine.cuda.data;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.Map;
import nibble.engine.attention.RotaryTable;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.HostTransfers;

/**
 * Keeps small vectors that are used again and again, by the array they came from: norms, biases, rotary tables. They
 * stay on the card, as long as there are not absurdly many. Owns their buffers, but for those that it brings for a
 * caller: a graph that holds their addresses outlives what is kept here.
 */
public final class KeptVectors {
    /** Bytes of norms and biases: those of all experts of a large model are many. */
    private static final long MOST_BYTES = 256L << 20;
    /** Tables; a backward pass turns by one and back by another. */
    private static final int MOST_TABLES = 2;

    private final DeviceMemory memory;
    private final HostTransfers transfers;
    private final CudaStream stream;
    private final Map<float[], DeviceMemory.Buffer> singles = new IdentityHashMap<>();
    private final Map<int[], DeviceMemory.Buffer> columns = new IdentityHashMap<>();
    private final Map<RotaryTable, DeviceMemory.Buffer> angles = new IdentityHashMap<>();
    private int holders;
    private long keptBytes;

    public KeptVectors(DeviceMemory memory, HostTransfers transfers, CudaStream stream) {
        this.memory = memory;
        this.transfers = transfers;
        this.stream = stream;
    }

    /** Keeps all norms and biases until {@link #release} is called for each call of this: a graph reads them. */
    public void hold() {
        holders++;
    }

    /** Lets norms and biases go again when they are too many, once no graph is left that reads them. */
    public void release() {
        holders--;
    }

    /** Returns a vector in fp32. */
    public DeviceMemory.Buffer single(float[] vector) {
        return kept(singles, vector, MemorySegment.ofArray(vector));
    }

    /** Returns numbers of columns. */
    public DeviceMemory.Buffer columns(int[] list) {
        return kept(columns, list, MemorySegment.ofArray(list));
    }

    /** Uploads a vector rounded to fp16, as the decode step reads norms; the caller's. */
    public DeviceMemory.Buffer bringHalf(float[] vector) {
        short[] bits = new short[vector.length];
        for (int i = 0; i < bits.length; i++) {
            bits[i] = Float.floatToFloat16(vector[i]);
        }
        DeviceMemory.Buffer buffer = memory.allocate(2L * bits.length, "a norm");
        transfers.bring(MemorySegment.ofArray(bits), buffer);
        return buffer;
    }

    private <T> DeviceMemory.Buffer kept(Map<T, DeviceMemory.Buffer> buffers, T vector, MemorySegment values) {
        if (holders == 0 && keptBytes >= MOST_BYTES && !buffers.containsKey(vector)) {
            forget(columns);
            forget(singles);
            keptBytes = 0;
        }
        return buffers.computeIfAbsent(vector, _ -> {
            DeviceMemory.Buffer buffer = memory.allocate(values.byteSize(), "a norm or a bias");
            transfers.bring(values, buffer);
            keptBytes += values.byteSize();
            return buffer;
        });
    }

    /** Returns cosines, then sines. The newest tables stay. */
    public DeviceMemory.Buffer angles(RotaryTable table) {
        DeviceMemory.Buffer kept = angles.get(table);
        if (kept == null) {
            if (angles.size() >= MOST_TABLES) {
                forget(angles);
            }
            kept = bringAngles(table);
            angles.put(table, kept);
        }
        return kept;
    }

    /** Uploads cosines, then sines; the caller's. */
    public DeviceMemory.Buffer bringAngles(RotaryTable table) {
        int n = table.cos().length;
        float[] both = Arrays.copyOf(table.cos(), 2 * n);
        System.arraycopy(table.sin(), 0, both, n, n);
        DeviceMemory.Buffer buffer = memory.allocate(8L * n, "the rotary table");
        transfers.bring(MemorySegment.ofArray(both), buffer);
        return buffer;
    }

    private void forget(Map<?, DeviceMemory.Buffer> buffers) {
        stream.synchronize();
        buffers.values().forEach(DeviceMemory.Buffer::close);
        buffers.clear();
    }
}
