package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.safetensors.SafetensorsFile;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.engine.backend.Backend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Tiny random mixtures of experts; checkpoint/src/test/scripts/mixtures.py made them and what transformers says. */
public class MixturesTest {
    public static final List<String> MODELS = List.of("mixtral", "mixtral-fused", "qwen2-moe", "qwen3-moe", "olmoe");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    static Stream<Arguments> modelsAndBackends() {
        return MODELS.stream()
                .flatMap(model -> Stream.of("reference", "cpu").map(device -> Arguments.of(model, device)));
    }

    @ParameterizedTest
    @MethodSource("modelsAndBackends")
    void each_of_64_greedy_tokens_is_that_of_transformers(String model, String device) {
        int[] expected = greedy(model);
        int[] prompt = Arrays.copyOf(expected, expected.length - 64);
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(model));
                Backend backend = Backends.open(device, 2);
                Llama llama = Llama.load(checkpoint, backend)) {
            int[] made = Generator.generate(llama, prompt, SamplingOptions.GREEDY, 64, Set.of(), id -> {});
            assertThat(made).isEqualTo(Arrays.copyOfRange(expected, prompt.length, expected.length));
        }
    }

    private static int[] greedy(String model) {
        try (Arena arena = Arena.ofConfined()) {
            Path file = ArchitecturesTest.folder(model).resolve("expected.safetensors");
            return Arrays.stream(SafetensorsFile.open(file, arena)
                            .tensor("greedy")
                            .data()
                            .toArray(ValueLayout.JAVA_LONG_UNALIGNED))
                    .mapToInt(Math::toIntExact)
                    .toArray();
        }
    }

    @Test
    void more_experts_chosen_than_there_are_is_refused() throws IOException {
        assertRefused("qwen3-moe", "num_experts_per_tok", 9, "num_experts_per_tok 9 is more than num_local_experts 8");
    }

    @Test
    void another_number_of_fused_experts_is_refused() throws IOException {
        assertRefused("mixtral-fused", "num_local_experts", 4, "found shape [5, 32, 32]");
    }

    private void assertRefused(String model, String key, int value, String message) throws IOException {
        Path folder = ArchitecturesTest.folder(model);
        Files.copy(folder.resolve("model.safetensors"), temp.resolve("model.safetensors"));
        ObjectMapper json = new ObjectMapper();
        ObjectNode config =
                (ObjectNode) json.readTree(folder.resolve("config.json").toFile());
        json.writeValue(temp.resolve("config.json").toFile(), config.put(key, value));
        assertThatThrownBy(() -> Checkpoint.open(temp))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining(message);
    }
}
