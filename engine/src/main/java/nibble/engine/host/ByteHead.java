package nibble.engine.host;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.Workers;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.PlacedModel;
import nibble.engine.tensor.StoredWeights;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;

/** Makes a head of bytes from one of plain numbers: blocks of 32 signed bytes and an fp16 scale, GGUF's Q8_0. */
public final class ByteHead {
    private static final GgufType TYPE = GgufType.Q8_0;
    private static final int BLOCK = 32;
    private static final int SCALE_BYTES = 2;
    private static final int MOST = 127;
    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private ByteHead() {}

    /** Returns a model with its head in bytes if that makes it smaller; closing it frees them. */
    static PlacedModel placed(ModelWeights weights, Workers workers) {
        if (!makesSmaller(weights.head())) {
            return PlacedModel.onHost(weights);
        }
        Arena arena = Arena.ofShared();
        try {
            return PlacedModel.onHost(weights.withHead(of(weights.head(), arena, workers)), arena::close);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    /** Returns whether a head has plain numbers, so that bytes are smaller. */
    private static boolean makesSmaller(Weight head) {
        return head instanceof DenseWeight
                || head instanceof BlockWeight(String _, GgufBlocks b)
                        && b.type().isPlain();
    }

    /**
     * Returns the head in bytes. A weight differs by at most half a step, which is 1/127 of its block's largest, and by
     * the rounding of the step to fp16. A block with a weight that is no number has NaN for a scale, and so have its
     * logits.
     *
     * @param head [vocabulary, hidden] of plain numbers
     * @param arena whose memory the result takes
     * @throws DeviceException if rows are no whole blocks
     */
    public static Weight of(Weight head, Arena arena, Workers workers) {
        int columns = head.inFeatures();
        if (columns % BLOCK != 0) {
            throw new DeviceException("a head of rows of " + columns + " weights has no form in int8, which takes "
                    + BLOCK + " at a time; use the stored one");
        }
        long rowBytes = TYPE.bytes(columns);
        MemorySegment data = arena.allocate(rowBytes * head.outFeatures(), 64);
        workers.forEachRun(head.outFeatures(), (from, to) -> {
            float[] row = new float[columns];
            for (int i = from; i < to; i++) {
                WeightRows.read(head, i, 0, columns, row, 0);
                encode(row, data, i * rowBytes);
            }
        });
        // The stored head's pages would stay in memory. Where it is the embedding, too, a text's own rows come back.
        StoredWeights.mapped(head).forEach(MemorySegment::unload);
        return new BlockWeight(head.name(), new GgufBlocks(TYPE, data, head.outFeatures(), columns, 0));
    }

    private static void encode(float[] row, MemorySegment into, long at) {
        long to = at;
        for (int from = 0; from < row.length; from += BLOCK) {
            float largest = 0;
            for (int i = from; i < from + BLOCK; i++) {
                largest = Math.max(largest, Math.abs(row[i]));
            }
            float step = largest / MOST;
            into.set(HALF, to, Float.floatToFloat16(step));
            float inverse = step == 0 ? 0 : 1 / step;
            for (int i = 0; i < BLOCK; i++) {
                into.set(ValueLayout.JAVA_BYTE, to + SCALE_BYTES + i, (byte) Math.round(row[from + i] * inverse));
            }
            to += SCALE_BYTES + BLOCK;
        }
    }
}
