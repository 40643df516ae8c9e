package nibble.engine.forward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;
import nibble.pack.WeightReader;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Halves of kv_b_proj that are multiplied alone read what gives the queries and the values that the whole gives. */
class AbsorbedInputsTest {
    private static final int[] IDS = {5, 17, 99, 3, 41, 200, 7, 7, 60, 128, 31, 12};
    private static final int SEQUENCES = 2;

    private static final class Seen implements Taps {
        private final Backend backend;
        private final Map<LinearInput, float[]> inputs = new EnumMap<>(LinearInput.class);
        private float[] queries = new float[0];
        private float[] attended = new float[0];

        Seen(Backend backend) {
            this.backend = backend;
        }

        @Override
        public void tap(LinearInput input, Expert expert, Matrix x) {
            if (!expert.isPart()) {
                inputs.put(input, backend.download(x));
            }
        }

        @Override
        public void absorbed(AbsorbedInputs found) {
            queries = found.queries();
            attended = found.attended();
        }

        float[] input(LinearInput input) {
            return Objects.requireNonNull(inputs.get(input));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"deepseek2", "deepseek2-lite", "deepseek3"})
    void give_the_queries_and_the_values_that_the_whole_gives(String model) {
        Path folder = Path.of("..", "checkpoint", "src", "test", "resources", "architectures", model);
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                Backend backend = Backends.open("cpu", 2);
                Forward forward = new Forward(checkpoint.config(), backend)) {
            Seen seen = new Seen(backend);
            try (Matrix hidden = forward.embed(new DenseWeight(checkpoint.tensor(TensorNames.EMBEDDING)), IDS)) {
                forward.layer(DecoderLayer.read(checkpoint, 0).expanded(), hidden, SEQUENCES, seen);
            }
            ModelConfig config = checkpoint.config();
            LatentAttention latent = config.latent().orElseThrow();
            boolean narrow = latent.queryRank() > 0;
            float[] queries = weight(checkpoint, narrow ? Linear.Q_B : Linear.Q);
            float[] queryInput = seen.input(narrow ? LinearInput.QUERY_LATENT : LinearInput.QKV);
            float[] halves = weight(checkpoint, Linear.KV_B);
            int each = latent.plain() + latent.value();
            float[] intoO = seen.input(LinearInput.O);
            assertThat(seen.queries).hasSize(IDS.length * config.heads() * latent.plain());
            for (int at = 0; at < IDS.length * config.heads(); at++) {
                int head = at % config.heads();
                int token = at / config.heads();
                for (int i = 0; i < latent.plain(); i++) {
                    double query = dot(
                            queries, head * latent.headDim() + i, queryInput, token, queryInput.length / IDS.length);
                    assertThat((double) seen.queries[at * latent.plain() + i]).isCloseTo(query, within(1e-5));
                }
                for (int i = 0; i < latent.value(); i++) {
                    double value = dot(halves, head * each + latent.plain() + i, seen.attended, at, latent.rank());
                    assertThat((double) intoO[at * latent.value() + i]).isCloseTo(value, within(1e-5));
                }
            }
        }
    }

    private static float[] weight(Checkpoint checkpoint, Linear linear) {
        String name = linear.module(0) + ".weight";
        return WeightReader.floats(checkpoint.tensor(name), checkpoint.fileOf(name));
    }

    private static double dot(float[] a, int rowOfA, float[] b, int rowOfB, int width) {
        double sum = 0;
        for (int i = 0; i < width; i++) {
            sum += (double) a[rowOfA * width + i] * b[rowOfB * width + i];
        }
        return sum;
    }
}
