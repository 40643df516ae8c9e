package nibble.engine.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import nibble.engine.backend.Backend;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.host.VectorBackend;
import nibble.engine.tensor.Matrix;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A thread's arrays serve heads of any size one after another. */
class PromptAttentionTest {
    private static final int QUERIES = 70;

    private static float[] attended(Backend backend, AttentionShape shape) {
        Random random = new Random(shape.headDim());
        try (Matrix query = matrix(backend, random, shape.queryColumns());
                Matrix keys = matrix(backend, random, shape.keyColumns());
                Matrix values = matrix(backend, random, shape.keyColumns());
                Matrix out = backend.allocate(QUERIES, shape.queryColumns())) {
            backend.attention(shape, 1, query, 0, keys, values, out);
            return backend.download(out);
        }
    }

    private static Matrix matrix(Backend backend, Random random, int columns) {
        float[] values = new float[QUERIES * columns];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return backend.upload(values, QUERIES, columns);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void sizes_of_heads_may_change(boolean natively) {
        try (Backend reference = new ReferenceBackend();
                Backend backend = natively ? new VectorBackend(1) : new VectorBackend(1, null)) {
            for (int headDim : new int[] {34, 40, 64, 62, 128, 16, 72}) {
                AttentionShape shape = new AttentionShape(4, 2, headDim);
                float[] expected = attended(reference, shape);
                float[] found = attended(backend, shape);
                for (int i = 0; i < expected.length; i++) {
                    assertThat(found[i]).as("heads of %d", headDim).isCloseTo(expected[i], within(1e-4f));
                }
            }
        }
    }
}
