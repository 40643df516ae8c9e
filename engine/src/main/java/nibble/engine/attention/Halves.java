package nibble.engine.attention;

import java.util.Arrays;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.tensor.HeadRows;

/**
 * Says where the values of queries and keys come from, so that neighbours lie in the two halves of a head.
 *
 * @param query columns of all query heads, always the same array, so that a device keeps it
 * @param key columns of all key heads
 */
public record Halves(int[] query, int[] key) {
    /** Returns the columns of a model's heads. */
    public static Halves of(ModelConfig config) {
        return new Halves(columns(config, config.heads()), columns(config, config.kvHeads()));
    }

    /** Returns the columns that bring all values back to where they came from. */
    public Halves inverse() {
        return new Halves(inverse(query), inverse(key));
    }

    private static int[] columns(ModelConfig config, int heads) {
        int[] columns = new int[heads * config.headDim()];
        Arrays.setAll(columns, i -> Math.toIntExact(HeadRows.interleaved((long) i, config.headDim())));
        return columns;
    }

    private static int[] inverse(int[] columns) {
        int[] inverse = new int[columns.length];
        for (int i = 0; i < columns.length; i++) {
            inverse[columns[i]] = i;
        }
        return inverse;
    }
}
