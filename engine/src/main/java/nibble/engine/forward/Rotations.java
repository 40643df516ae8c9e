package nibble.engine.forward;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.AttentionTemperature;
import nibble.checkpoint.model.layer.Rope;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.LayerOperations;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;

/** Turns queries and keys of a model's layers, each by its layer's rope. Holds one table a rope; used by one thread. */
public final class Rotations {
    private final ModelConfig config;
    private final LayerOperations backend;
    private final Map<Rope, Table> tables = new HashMap<>();
    private final Map<AttentionTemperature, RotaryTable> growing = new HashMap<>();

    /** @param length of the sequence that the table is made for; 0 where it does not matter */
    private record Table(RotaryTable table, int length) {}

    public Rotations(ModelConfig config, LayerOperations backend) {
        this.config = config;
        this.backend = backend;
    }

    /** Turns the rows of sequences of one length, whose first rows stand at {@code first}. */
    void rotate(DecoderLayer layer, Matrix query, Matrix key, int sequences, int first) {
        rope(layer).ifPresent(rope -> {
            RotaryTable table = table(rope, first + query.rows() / sequences);
            backend.rope(query, config.headDim(), table, sequences, first);
            backend.rope(key, config.headDim(), table, sequences, first);
        });
        int positions = first + query.rows() / sequences;
        temperature(layer, positions)
                .ifPresent(grows -> backend.rope(query, config.headDim(), factors(grows, positions), sequences, first));
    }

    private Optional<Rope> rope(DecoderLayer layer) {
        return config.attention(layer.extras().layer()).rope();
    }

    private Optional<AttentionTemperature> temperature(DecoderLayer layer, int positions) {
        return config.attention(layer.extras().layer()).temperature().filter(grows -> !grows.isNeutral(positions));
    }

    /** A table that turns nothing, and multiplies queries by the factor of their position. */
    private RotaryTable factors(AttentionTemperature grows, int positions) {
        RotaryTable found = growing.get(grows);
        if (found == null || found.positions() < positions) {
            int made = Math.max(positions, Math.min(2 * positions, config.maxPositions()));
            found = RotaryTable.of(grows, config.headDim(), made);
            growing.put(grows, found);
        }
        return found;
    }

    /** Returns what turns rows that stand at these positions. */
    public At at(int[] positions) {
        return new At(positions);
    }

    private RotaryTable table(Rope rope, int sequenceLength) {
        int steady = RotaryTable.steadyLength(config, rope);
        // Beyond the steady length, dynamic rope is another for each length, and longrope another one.
        int counted = rope.scaling() instanceof Rope.LongRope ? Math.min(sequenceLength, steady + 1) : sequenceLength;
        int length = steady == Integer.MAX_VALUE ? 0 : Math.max(counted, steady);
        Table found = tables.get(rope);
        if (found == null || found.table.positions() < sequenceLength || found.length != length) {
            // Rounded up, so that token-by-token generation does not make a table a token.
            int positions = Math.max(sequenceLength, Math.min(2 * sequenceLength, config.maxPositions()));
            found = new Table(RotaryTable.of(config, rope, positions, length), length);
            tables.put(rope, found);
        }
        return found.table;
    }

    /** Turns rows that stand at positions of their own. */
    public final class At {
        private final int[] positions;
        private final Map<Rope, RotaryTable> atPositions = new HashMap<>();
        private final Map<AttentionTemperature, RotaryTable> factorsThere = new HashMap<>();

        private At(int[] positions) {
            this.positions = positions;
        }

        /** Turns the queries and keys of a layer; row i stands at the i-th position. */
        public void rotate(DecoderLayer layer, Matrix query, Matrix key) {
            rope(layer).ifPresent(rope -> {
                RotaryTable table = atPositions.computeIfAbsent(
                        rope, r -> table(r, length()).at(positions));
                backend.rope(query, config.headDim(), table, 1, 0);
                backend.rope(key, config.headDim(), table, 1, 0);
            });
            temperature(layer, length()).ifPresent(grows -> {
                RotaryTable table = factorsThere.computeIfAbsent(
                        grows, g -> factors(g, length()).at(positions));
                backend.rope(query, config.headDim(), table, 1, 0);
            });
        }

        private int length() {
            return Arrays.stream(positions).max().orElse(0) + 1;
        }
    }
}
