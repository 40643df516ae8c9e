package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.engine.backend.Backend;
import nibble.engine.forward.Forward;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.natives.Kernels;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LlamaTest {
    private static final ModelConfig CONFIG = RandomModel.config(new Rope.None(), 400);

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void golden_logits_of_a_bf16_model(String device) throws Exception {
        Path folder = Path.of(
                        LlamaTest.class.getResource("/golden-llama/config.json").toURI())
                .getParent();
        Properties meta = new Properties();
        byte[] golden;
        try (InputStream in = LlamaTest.class.getResourceAsStream("/golden-llama/tiny_llama_meta.txt");
                InputStream bin = LlamaTest.class.getResourceAsStream("/golden-llama/tiny_llama_golden.bin")) {
            meta.load(in);
            golden = bin.readAllBytes();
        }
        int[] ids = Arrays.stream(meta.getProperty("tokens").split(","))
                .mapToInt(Integer::parseInt)
                .toArray();
        float[] expected = new float[golden.length / 4];
        ByteBuffer.wrap(golden).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(expected);
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                Backend backend = Backends.open(device, 2);
                Llama model = Llama.load(checkpoint, backend)) {
            float[] logits = model.logits(ids);
            assertThat(logits).hasSameSizeAs(expected);
            double worst = 0;
            for (int i = 0; i < expected.length; i++) {
                worst = Math.max(worst, Math.abs(logits[i] - expected[i]));
            }
            assertThat(worst).isLessThan(1e-4);
        }
    }

    /** Copies a checkpoint that may be changed; returns its file of weights. */
    private static Path copyGolden(Path folder) throws Exception {
        Path golden = Path.of(
                        LlamaTest.class.getResource("/golden-llama/config.json").toURI())
                .getParent();
        for (String name : List.of("config.json", "tiny_llama.safetensors")) {
            Files.copy(golden.resolve(name), folder.resolve(name));
        }
        return folder.resolve("tiny_llama.safetensors");
    }

    @Test
    void a_file_cut_short_while_it_is_used_is_an_error_and_a_replaced_one_is_none(@TempDir Path folder)
            throws Exception {
        Path file = copyGolden(folder);
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                Backend backend = Backends.open("cpu", 2);
                Llama model = Llama.load(checkpoint, backend);
                Session session = model.session(8)) {
            float[] before = model.logits(new int[] {1, 2, 3});
            Files.copy(file, folder.resolve("kept"));
            Files.writeString(folder.resolve("new"), "{}");
            Files.move(folder.resolve("new"), file, StandardCopyOption.REPLACE_EXISTING);

            assertThat(model.logits(new int[] {1, 2, 3})).isEqualTo(before);
            assertThat(session.append(new int[] {1, 2, 3})).hasSize(before.length / 3);
        }
        Files.move(folder.resolve("kept"), file, StandardCopyOption.REPLACE_EXISTING);
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                Backend backend = Backends.open("cpu", 2);
                Llama model = Llama.load(checkpoint, backend);
                Session session = model.session(8)) {
            session.append(new int[] {1});
            long bytes = Files.size(file);
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                channel.truncate(1000);
            }

            for (ThrowingCallable pass : List.<ThrowingCallable>of(
                    () -> session.append(new int[] {2}),
                    () -> model.logits(new int[] {1, 2, 3}),
                    () -> model.logProbabilities(new int[] {1, 2, 3}))) {
                assertThatThrownBy(pass)
                        .isInstanceOf(BadCheckpointException.class)
                        .hasMessageContaining("tiny_llama.safetensors")
                        .hasMessageContaining("was cut to 1000 of " + bytes + " bytes");
            }
        }
    }

    /** The file is looked at before a pass, when it is still whole, and after the read that found nothing. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void a_file_cut_short_within_a_pass_is_the_same_error(boolean natively, @TempDir Path folder) throws Exception {
        Kernels kernels = natively ? Kernels.ofMachine() : null;
        assumeTrue(!natively || kernels != null && Kernels.surviveCuts(), "native kernels that survive it");
        Path file = copyGolden(folder);
        AtomicInteger looks = new AtomicInteger();
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                Backend backend = new VectorBackend(2, kernels);
                Llama model = Llama.of(ModelWeights.read(checkpoint), backend, () -> {
                    if (looks.incrementAndGet() % 2 == 0) {
                        checkpoint.requireWhole();
                    }
                });
                Session session = model.session(8)) {
            long bytes = Files.size(file);
            for (long left : new long[] {bytes / 2, 1000}) {
                try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                    channel.truncate(left);
                }
                for (ThrowingCallable pass : List.<ThrowingCallable>of(
                        () -> session.append(new int[] {2}),
                        () -> model.logits(new int[] {1, 2, 3}),
                        () -> model.logProbabilities(new int[] {1, 2, 3}))) {
                    assertThatThrownBy(pass)
                            .isInstanceOf(BadCheckpointException.class)
                            .hasMessageContaining("was cut to " + left + " of " + bytes + " bytes");
                }
            }
        }
    }

    @Test
    void both_backends_give_the_same_log_probabilities() {
        ModelWeights weights = RandomModel.weights(CONFIG, 3);
        int[] ids = RandomModel.ids(4, 301, CONFIG.vocabularySize());
        float[][] results = new float[2][];
        for (int b = 0; b < 2; b++) {
            try (Backend backend = Backends.open(b == 0 ? "reference" : "cpu", 2);
                    Llama model = Llama.of(weights, backend)) {
                results[b] = model.logProbabilities(ids);
            }
        }
        assertThat(results[0]).hasSize(300);
        for (int i = 0; i < 300; i++) {
            assertThat(results[1][i]).isCloseTo(results[0][i], within(1e-4f));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void decoding_with_a_cache_equals_the_full_pass(String device) {
        int[] ids = RandomModel.ids(9, 97, CONFIG.vocabularySize());
        int vocabulary = CONFIG.vocabularySize();
        try (Backend backend = Backends.open(device, 2);
                Llama model = Llama.of(RandomModel.weights(CONFIG, 8), backend);
                Session session = model.session(97)) {
            float[] full = model.logits(ids);
            for (int[] piece : new int[][] {{0, 1}, {1, 3}, {3, 70}, {70, 71}, {71, 72}, {72, 97}}) {
                float[] last = session.append(Arrays.copyOfRange(ids, piece[0], piece[1]));
                for (int i = 0; i < vocabulary; i++) {
                    assertThat(last[i]).isCloseTo(full[(piece[1] - 1) * vocabulary + i], within(1e-4f));
                }
            }
            assertThat(session.length()).isEqualTo(97);
            assertThatThrownBy(() -> session.append(new int[] {1}))
                    .hasMessage("context overflow: 97 tokens held and 1 to append, the session's capacity is 97");
        }
    }

    @Test
    void log_probabilities_are_those_of_the_logits() {
        int[] ids = RandomModel.ids(2, 20, CONFIG.vocabularySize());
        int vocabulary = CONFIG.vocabularySize();
        try (Backend backend = new VectorBackend(2);
                Llama model = Llama.of(RandomModel.weights(CONFIG, 1), backend)) {
            float[] logits = model.logits(ids);
            float[] found = model.logProbabilities(ids);
            for (int t = 0; t < 19; t++) {
                double sum = 0;
                for (int i = 0; i < vocabulary; i++) {
                    sum += Math.exp(logits[t * vocabulary + i]);
                }
                assertThat((double) found[t])
                        .isCloseTo(logits[t * vocabulary + ids[t + 1]] - Math.log(sum), within(1e-5));
            }
        }
    }

    @Test
    void taps_see_the_four_inputs_in_order() {
        ModelWeights weights = RandomModel.weights(CONFIG, 1);
        List<String> seen = new ArrayList<>();
        try (Backend backend = new VectorBackend(1);
                Forward forward = new Forward(CONFIG, backend);
                Matrix hidden = forward.embed(weights.embedding(), new int[] {1, 2, 3})) {
            forward.layer(
                    weights.layers().get(0),
                    hidden,
                    1,
                    (input, expert, x) -> seen.add(input + " " + x.rows() + " " + x.columns()));
        }
        assertThat(seen).containsExactly("QKV 3 48", "O 3 48", "GATE_UP 3 48", "DOWN 3 88");
    }

    @Test
    void ids_and_lengths_out_of_range_are_named() {
        try (Backend backend = new VectorBackend(1);
                Llama model = Llama.of(RandomModel.weights(CONFIG, 1), backend)) {
            assertThatThrownBy(() -> model.logProbabilities(new int[] {5, 101}))
                    .hasMessageContaining("token 1 of the text is id 101, the model has ids 0 to 100");
            assertThatThrownBy(() -> model.logProbabilities(new int[401]))
                    .hasMessageContaining("context overflow: 401 tokens, the model was made for 400");
            assertThatThrownBy(() -> model.logProbabilities(new int[1])).hasMessageContaining("at least 2");
        }
    }

    @Test
    void generation_is_greedy_streamed_and_stops() {
        try (Backend backend = new VectorBackend(2);
                Llama model = Llama.of(RandomModel.weights(CONFIG, 5), backend)) {
            List<Integer> streamed = new ArrayList<>();
            int[] prompt = {1, 7, 30};
            int[] made = Generator.generate(model, prompt, SamplingOptions.GREEDY, 6, Set.of(), streamed::add);
            assertThat(made).hasSize(6);
            assertThat(streamed)
                    .containsExactlyElementsOf(Arrays.stream(made).boxed().toList());
            int[] sequence = prompt;
            for (int id : made) {
                float[] logits = model.logits(sequence);
                float[] last = Arrays.copyOfRange(logits, logits.length - CONFIG.vocabularySize(), logits.length);
                assertThat(new Sampler(SamplingOptions.GREEDY).next(last)).isEqualTo(id);
                sequence = Arrays.copyOf(sequence, sequence.length + 1);
                sequence[sequence.length - 1] = id;
            }
            assertThat(Generator.generate(model, prompt, SamplingOptions.GREEDY, 6, Set.of(made[0]), i -> {}))
                    .isEmpty();
            assertThat(Generator.generate(model, new int[398], SamplingOptions.GREEDY, 6, Set.of(), i -> {}))
                    .hasSize(2);
        }
    }
}
