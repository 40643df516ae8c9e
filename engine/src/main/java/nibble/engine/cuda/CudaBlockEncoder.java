package nibble.engine.cuda;

import java.lang.foreign.MemorySegment;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import nibble.checkpoint.gguf.GgufType;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import org.jspecify.annotations.Nullable;

/** Rounds rows of weights to GGUF's blocks, by {@code block_encode.cu}. Thread-safe. */
final class CudaBlockEncoder {
    private static final int THREADS = 128;
    private static final Set<GgufType> K_TYPES =
            EnumSet.of(GgufType.Q2_K, GgufType.Q3_K, GgufType.Q4_K, GgufType.Q5_K, GgufType.Q6_K);
    private static final Set<GgufType> FORMULAS =
            EnumSet.of(GgufType.Q4_0, GgufType.Q4_1, GgufType.Q5_0, GgufType.Q5_1, GgufType.Q8_0);

    private final CudaResources card;

    CudaBlockEncoder(CudaResources card) {
        this.card = card;
    }

    /**
     * Rounds whole blocks of rows.
     *
     * @param importance a number for each column of a row
     * @return false where the card has no kernel: {@code out} is as it was
     */
    synchronized boolean encode(GgufType type, float[] rows, float @Nullable [] importance, byte[] out) {
        boolean searches = K_TYPES.contains(type);
        boolean formula = FORMULAS.contains(type) && (importance == null || type == GgufType.Q8_0);
        if (!searches && !formula || rows.length == 0) {
            return false;
        }
        int elements = switch (type) {
            case Q2_K, Q3_K, Q6_K -> 16;
            default -> 32;
        };
        long groups = rows.length / elements;
        long bytes = type.bytes(rows.length);
        card.makeCurrent();
        try (DeviceMemory.Buffer values = card.memory().allocate(4L * rows.length, "weights to round");
                DeviceMemory.Buffer blocks = card.memory().allocate(bytes, "rounded weights");
                DeviceMemory.Buffer columns =
                        card.memory().allocate(importance == null ? 4 : 4L * importance.length, "an importance")) {
            card.transfers().bring(MemorySegment.ofArray(rows), values);
            if (importance != null) {
                card.transfers().bring(MemorySegment.ofArray(importance), columns);
            }
            card.kernels()
                    .kernel("block_encode.cu", "block_encode", Map.of("BLOCK_TYPE", type.id()))
                    .launch(
                            card.stream(),
                            Kernel.Grid.of((groups + THREADS - 1) / THREADS),
                            THREADS,
                            0,
                            blocks.address(),
                            values.address(),
                            importance == null ? 0L : columns.address(),
                            importance == null ? 1 : importance.length,
                            groups);
            card.transfers().fetch(blocks, 0, MemorySegment.ofArray(out).asSlice(0, bytes));
        }
        return true;
    }
}
