package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.safetensors.SafetensorsFile;
import nibble.checkpoint.tensor.TensorView;
import nibble.engine.backend.Backend;
import nibble.engine.tensor.WeightRows;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A tiny random model of every architecture against transformers' logits in fp64;
 * convert/src/test/scripts/architectures.py made both.
 */
public class ArchitecturesTest {
    private static final Path FOLDER = Path.of("..", "checkpoint", "src", "test", "resources", "architectures");
    /** Those with expected logits alone. */
    private static final List<String> FIRST =
            List.of("smollm", "llama-bias", "mistral", "qwen2", "qwen3", "phi3", "gemma");

    /** Those with an expected text too. */
    public static final List<String> WRITING = List.of(
            "gemma2",
            "gemma3",
            "smollm3",
            "granite",
            "granite4",
            "olmo2",
            "olmo3",
            "phi4-mini",
            "llama-yarn",
            "qwen3-window",
            "seed-oss",
            "cohere",
            "cohere2",
            "cohere-plus");

    /** Returns all whose layers have one MLP each, without {@link MixturesTest#MODELS}. */
    public static Stream<String> dense() {
        return Stream.concat(FIRST.stream(), WRITING.stream());
    }

    /** What a model must give. */
    public record Expected(int[] ids, float[] logits, float fp32Error, int[] greedy) {
        public static Expected of(String model) {
            try (Arena arena = Arena.ofConfined()) {
                SafetensorsFile file = SafetensorsFile.open(folder(model).resolve("expected.safetensors"), arena);
                TensorView ids = file.tensor("ids");
                TensorView logits = file.tensor("logits");
                float[] values = new float[(int) logits.shape().elements()];
                WeightRows.read(logits, 0, values, 0, values.length);
                float[] error = new float[1];
                WeightRows.read(file.tensor("fp32_error"), 0, error, 0, 1);
                int[] greedy = file.find("greedy").map(Expected::integers).orElse(new int[0]);
                return new Expected(integers(ids), values, error[0], greedy);
            }
        }

        private static int[] integers(TensorView tensor) {
            return Arrays.stream(tensor.data().toArray(ValueLayout.JAVA_LONG_UNALIGNED))
                    .mapToInt(Math::toIntExact)
                    .toArray();
        }
    }

    public static Path folder(String model) {
        return FOLDER.resolve(model);
    }

    static Stream<Arguments> modelsAndBackends() {
        return Stream.concat(dense(), MixturesTest.MODELS.stream()).flatMap(ArchitecturesTest::backends);
    }

    static Stream<Arguments> writingModels() {
        return WRITING.stream().flatMap(ArchitecturesTest::backends);
    }

    private static Stream<Arguments> backends(String model) {
        return Stream.of("reference", "cpu").map(device -> Arguments.of(model, device));
    }

    /**
     * fp32 sums in another order are as far from fp64 as transformers' own, give or take a small factor. That is 4e-5
     * at most here, while each architecture's own part moves logits by more than 2.
     */
    @ParameterizedTest
    @MethodSource("modelsAndBackends")
    void logits_are_those_of_transformers(String model, String device) {
        Expected expected = Expected.of(model);
        assertThat(expected.fp32Error).isLessThan(5e-5f);
        try (Checkpoint checkpoint = Checkpoint.open(folder(model));
                Backend backend = Backends.open(device, 2);
                Llama llama = Llama.load(checkpoint, backend)) {
            assertClose(llama.logits(expected.ids), expected.logits, 4 * expected.fp32Error);
        }
    }

    /** A token at a time and a prompt in pieces, longer than the windows of 7 and 9. */
    @ParameterizedTest
    @MethodSource("modelsAndBackends")
    void decoding_with_a_cache_gives_the_same_logits(String model, String device) {
        Expected expected = Expected.of(model);
        int vocabulary = expected.logits.length / expected.ids.length;
        try (Checkpoint checkpoint = Checkpoint.open(folder(model));
                Backend backend = Backends.open(device, 2);
                Llama llama = Llama.load(checkpoint, backend);
                Session session = llama.session(expected.ids.length)) {
            int done = 0;
            for (int piece : new int[] {3, 1, 1, 8, 1, 2, 7, 1}) {
                float[] last = session.append(Arrays.copyOfRange(expected.ids, done, done + piece));
                done += piece;
                assertClose(
                        last,
                        Arrays.copyOfRange(expected.logits, (done - 1) * vocabulary, done * vocabulary),
                        4 * expected.fp32Error);
            }
            assertThat(done).isEqualTo(expected.ids.length);
        }
    }

    /**
     * Longer than every window, and beyond the length from which longrope takes its other factors: keys keep the turn
     * of their own time, as in transformers' cache.
     */
    @ParameterizedTest
    @MethodSource("writingModels")
    void the_likeliest_text_is_that_of_transformers(String model, String device) {
        Expected expected = Expected.of(model);
        try (Checkpoint checkpoint = Checkpoint.open(folder(model));
                Backend backend = Backends.open(device, 2);
                Llama llama = Llama.load(checkpoint, backend)) {
            assertThat(llama.write(expected.ids, expected.greedy.length, Set.of(), _ -> true))
                    .isEqualTo(expected.greedy);
        }
    }

    private static void assertClose(float[] found, float[] expected, float bound) {
        assertThat(found).hasSameSizeAs(expected);
        double worst = 0;
        for (int i = 0; i < expected.length; i++) {
            // Written so that NaN is the worst of all.
            double error = Math.abs(found[i] - expected[i]);
            worst = error <= worst ? worst : error;
        }
        assertThat(worst).isLessThanOrEqualTo(bound);
    }
}
