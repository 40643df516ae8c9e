package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.safetensors.SafetensorsFile;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.engine.backend.Backend;
import nibble.engine.tensor.Matrix;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Tiny random mixtures of experts; checkpoint/src/test/scripts/mixtures.py made them and what transformers says. */
public class MixturesTest {
    public static final List<String> MODELS = List.of(
            "mixtral",
            "mixtral-fused",
            "qwen2-moe",
            "qwen3-moe",
            "olmoe",
            "phimoe",
            "gpt-oss",
            "gpt-oss-mxfp4",
            "deepseek2-lite",
            "deepseek2",
            "deepseek3",
            "deepseek3-fp8",
            "llama4");

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

    /** On a card, memory of a matrix that nobody closes is lost until the end of the process. */
    @ParameterizedTest
    @CsvSource({"embed, 1", "allocate, 2", "allocate, 5", "linears, 1", "glu, 1", "glu, 3", "mixRows, 2"})
    void a_pass_that_fails_leaves_no_matrix_open_when_its_model_is_closed(String operation, int time) {
        List<Matrix> made = new ArrayList<>();
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder("qwen3-moe"));
                Backend backend = Backends.open("cpu", 2)) {
            try (Llama llama = Llama.load(checkpoint, failing(backend, operation, new int[] {time}, made))) {
                assertThatThrownBy(() -> llama.logProbabilities(new int[] {1, 2, 3}))
                        .isInstanceOf(IllegalStateException.class)
                        .hasMessage(operation + " fails");
            }
            assertThat(made)
                    .isNotEmpty()
                    .allSatisfy(matrix -> assertThatThrownBy(() -> backend.download(matrix))
                            .hasMessage("matrix [" + matrix.rows() + ", " + matrix.columns() + "] is closed"));
        }
    }

    @Test
    void a_pass_after_one_that_lacked_memory_computes_the_same_as_before() {
        int[] left = new int[1];
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder("qwen3-moe"));
                Backend backend = Backends.open("cpu", 2);
                Llama llama = Llama.load(checkpoint, failing(backend, "allocate", left, new ArrayList<>()))) {
            float[] before = llama.logProbabilities(new int[] {1, 2, 3});
            left[0] = 3;
            assertThatThrownBy(() -> llama.logProbabilities(new int[] {1, 2, 3, 4}))
                    .hasMessage("allocate fails");
            assertThat(llama.logProbabilities(new int[] {1, 2, 3})).isEqualTo(before);
        }
    }

    /**
     * A backend whose operation fails.
     *
     * @param left how often it is asked for until then, if above 0
     * @param made takes the matrices that are made
     */
    private static Backend failing(Backend backend, String operation, int[] left, List<Matrix> made) {
        return (Backend) Proxy.newProxyInstance(
                Backend.class.getClassLoader(), new Class<?>[] {Backend.class}, (_, method, arguments) -> {
                    if (method.getName().equals(operation) && --left[0] == 0) {
                        throw new IllegalStateException(operation + " fails");
                    }
                    try {
                        Object result = method.invoke(backend, arguments);
                        if (result instanceof Matrix matrix && matrix.columns() > 0) {
                            made.add(matrix);
                        }
                        return result;
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    @Test
    void more_experts_chosen_than_there_are_is_refused() throws IOException {
        assertRefused("qwen3-moe", "num_experts_per_tok", 9, "num_experts_per_tok 9 is more than num_local_experts 8");
    }

    @Test
    void another_number_of_fused_experts_is_refused() throws IOException {
        assertRefused("mixtral-fused", "num_local_experts", 4, "found shape [5, 32, 32]");
    }

    @Test
    void another_number_of_experts_in_mxfp4_is_refused() throws IOException {
        assertRefused("gpt-oss-mxfp4", "num_local_experts", 3, "config.json asks for [3, 32], 3 experts");
    }

    @Test
    void another_limit_of_gate_and_up_is_refused() throws IOException {
        assertRefused("gpt-oss", "swiglu_limit", 5, "swiglu_limit 5.0 is not supported; supported: 7.0");
    }

    @Test
    void blocks_without_their_scales_are_refused() throws IOException {
        Path folder = ArchitecturesTest.folder("gpt-oss-mxfp4");
        Files.copy(folder.resolve("config.json"), temp.resolve("config.json"));
        byte[] file = Files.readAllBytes(folder.resolve("model.safetensors"));
        String text = new String(file, StandardCharsets.ISO_8859_1);
        String other = text.replace("layers.1.mlp.experts.down_proj_scales", "layers.1.mlp.experts.down_proj_others");
        Files.write(temp.resolve("model.safetensors"), other.getBytes(StandardCharsets.ISO_8859_1));
        assertThatThrownBy(() -> Checkpoint.open(temp))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("model.layers.1.mlp.experts.down_proj_blocks is there without model.layers.1.mlp"
                        + ".experts.down_proj_scales");
    }

    @Test
    void layers_that_predict_further_tokens_are_left_alone_as_far_as_the_config_names_them() throws IOException {
        Path folder = ArchitecturesTest.folder("deepseek3");
        Files.copy(folder.resolve("model.safetensors"), temp.resolve("model.safetensors"));
        ObjectMapper json = new ObjectMapper();
        ObjectNode config =
                (ObjectNode) json.readTree(folder.resolve("config.json").toFile());
        Path copy = temp.resolve("config.json");
        json.writeValue(copy.toFile(), config.put("num_hidden_layers", 1).put("num_nextn_predict_layers", 1));
        try (Checkpoint checkpoint = Checkpoint.open(temp)) {
            assertThat(checkpoint.config().layers()).isEqualTo(1);
        }
        json.writeValue(copy.toFile(), config.put("num_nextn_predict_layers", 0));
        assertThatThrownBy(() -> Checkpoint.open(temp))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("config.json has only 1 layers");
    }

    @Test
    void eight_bit_floats_need_scales_of_the_shape_that_the_config_asks_for() throws IOException {
        Path folder = ArchitecturesTest.folder("deepseek3-fp8");
        Files.copy(folder.resolve("model.safetensors"), temp.resolve("model.safetensors"));
        String config = Files.readString(folder.resolve("config.json"));
        Files.writeString(temp.resolve("config.json"), config.replaceAll("16,\\s+24\\s", "16, 32"));
        assertThatThrownBy(() -> Checkpoint.open(temp))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("_scale_inv is F32 [")
                .hasMessageContaining("for blocks of 16 rows and 32 columns");
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
