package nibble.convert.blocks;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.files.digest.Crc32c;
import org.jspecify.annotations.Nullable;

/**
 * Says how much each input feature of a linear counts when its weights are rounded: the sum over calibration tokens of
 * the squared activation that meets it, the diagonal of the second moment {@code Σ x xᵀ}. Llama.cpp calls this an
 * importance matrix.
 *
 * <p>It belongs to columns, so the order of a linear's rows, which differs between formats for q and k, does not touch
 * it.
 *
 * @param origin where it came from, for messages: a file, or the model it was measured on
 * @param datasets names of the texts it was measured on
 * @param chunks blocks of text, 0 if unknown
 * @param chunkTokens tokens of a block, 0 if unknown
 * @param entries by GGUF's tensor name, as {@code blk.0.attn_q.weight}
 */
public record Importance(
        Path origin, List<String> datasets, long chunks, long chunkTokens, SortedMap<String, Entry> entries) {
    /**
     * Least weight of a feature beside the mean of its linear's: what calibration never wakes may still be woken later.
     */
    private static final double FLOOR = 1e-4;

    public Importance {
        datasets = List.copyOf(datasets);
        entries = Collections.unmodifiableSortedMap(new TreeMap<>(entries));
    }

    /**
     * Sums of one linear, or of the same linear of all routed experts of a layer, one after another.
     *
     * @param squares {@code Σ x²} of each input feature
     * @param counts tokens summed over, by one linear or each expert
     */
    public record Entry(float[] squares, float... counts) {
        /** The first feature whose sum is no finite number of at least 0; -1 where there is none. */
        int firstBad() {
            for (int i = 0; i < squares.length; i++) {
                if (!(squares[i] >= 0 && squares[i] < Float.POSITIVE_INFINITY)) {
                    return i;
                }
            }
            return -1;
        }
    }

    /** Returns a checksum of all sums, for the fingerprint of what is made by them. */
    public String crc32c() {
        Crc32c crc = new Crc32c();
        entries.forEach((name, entry) -> {
            crc.add(MemorySegment.ofArray(name.getBytes(StandardCharsets.UTF_8)));
            crc.add(MemorySegment.ofArray(entry.squares()));
            crc.add(MemorySegment.ofArray(entry.counts()));
        });
        return crc.hex();
    }

    /**
     * Returns the weights of the columns of a linear: positive, of mean about 1.
     *
     * @throws BadCheckpointException if the linear is not covered or has another number of features
     */
    public float[] columns(String tensor, int features) {
        return columns(tensor, 0, 1, features);
    }

    /**
     * Does what {@link #columns(String, int)} does for one of the experts of a stacked tensor. An expert that saw no
     * token has the weight 1 everywhere.
     *
     * @param expert its number
     * @param experts all of them
     */
    public float[] columns(String tensor, int expert, int experts, int features) {
        @Nullable Entry entry = entries.get(tensor);
        if (entry == null) {
            throw new BadCheckpointException(
                    origin, "has no importance of " + tensor + ", which this model has; measure it on this model");
        }
        if (entry.squares().length != (long) experts * features) {
            throw new BadCheckpointException(
                    origin,
                    tensor + ": importance of " + entry.squares().length + " input features, the model has "
                            + (experts == 1 ? "" : experts + " times ") + features + "; measure it on this model");
        }
        int first = expert * features;
        double mean = 0;
        for (int i = 0; i < features; i++) {
            mean += (double) entry.squares()[first + i] / features;
        }
        float[] columns = new float[features];
        for (int i = 0; i < features; i++) {
            columns[i] = mean > 0 ? (float) Math.max(entry.squares()[first + i] / mean, FLOOR) : 1;
        }
        return columns;
    }
}
