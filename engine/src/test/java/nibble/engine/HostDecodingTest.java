package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.engine.backend.Activations;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.natives.Kernels;
import nibble.engine.tensor.ModelWeights;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** One token at a time by programs of the library gives the bits that operations one by one give for two at a time. */
class HostDecodingTest {
    /** Biases of all linears, norms of heads, norms behind linears, windows, gates of two kinds. */
    private static final List<String> BY_PROGRAM =
            List.of("mistral", "qwen3", "gemma", "gemma3", "qwen3-window", "seed-oss");

    @BeforeEach
    void kernelsExist() {
        assumeTrue(Kernels.ofMachine() != null, "no native kernels here: " + Kernels.whyNone());
    }

    private static VectorBackend backend(int threads) {
        return new VectorBackend(
                threads, Objects.requireNonNull(Kernels.ofMachine()).with(Activations.INT8));
    }

    private static boolean hasDecoder(Llama model, VectorBackend backend) {
        try (KeyValueCache cache = new KeyValueCache(model.placed().config(), backend, 8)) {
            return backend.decoder(model.placed(), cache)
                    .map(decoder -> {
                        decoder.close();
                        return true;
                    })
                    .orElse(false);
        }
    }

    /** Appends ids singly to one session and in pairs to another. */
    private static void assertSameBits(Llama model, int tokens) {
        int[] ids = RandomModel.ids(7, tokens, model.vocabularySize());
        try (Session singly = model.session(tokens);
                Session inPairs = model.session(tokens)) {
            for (int i = 0; i + 1 < tokens; i += 2) {
                singly.append(new int[] {ids[i]});
                assertThat(singly.append(new int[] {ids[i + 1]}))
                        .as("logits after %d tokens", i + 2)
                        .isEqualTo(inPairs.append(new int[] {ids[i], ids[i + 1]}));
            }
        }
    }

    static Stream<String> architectures() {
        return ArchitecturesTest.dense();
    }

    @ParameterizedTest
    @MethodSource("architectures")
    void every_architecture_decodes_with_the_same_bits(String name) {
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(name));
                VectorBackend backend = backend(2);
                Llama model = Llama.load(checkpoint, backend)) {
            assertThat(!BY_PROGRAM.contains(name) || hasDecoder(model, backend)).isTrue();
            assertSameBits(model, 24);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void results_do_not_depend_on_threads_and_tables_of_angles_grow(int threads) {
        try (VectorBackend backend = backend(threads);
                Llama model = Llama.of(RandomModel.ofBlocks(2, GgufType.Q4_0, GgufType.Q6_K, this::mixed), backend)) {
            assertThat(hasDecoder(model, backend)).isTrue();
            assertSameBits(model, 128);
        }
    }

    private GgufType mixed(Linear linear, int layer) {
        GgufType[] types = {GgufType.Q4_K, GgufType.Q8_0, GgufType.F16, GgufType.Q5_1, GgufType.Q6_K};
        return types[(linear.ordinal() + 3 * layer) % types.length];
    }

    @Test
    void what_no_program_computes_has_no_decoder() {
        ModelWeights weights = RandomModel.forCuda(64, 2);
        try (VectorBackend backend = backend(2);
                VectorBackend single = new VectorBackend(2);
                Llama unpacked = Llama.of(weights, backend);
                Llama plain = Llama.of(RandomModel.ofBlocks(1, GgufType.F16, GgufType.F16, this::mixed), single)) {
            assertThat(hasDecoder(unpacked, backend)).as("codes on the heap").isFalse();
            assertThat(hasDecoder(plain, single)).as("activations in fp32").isFalse();
        }
    }

    /** The look before the token finds the file whole; the kernels find it cut, and the look after them says so. */
    @Test
    void a_file_cut_short_within_a_token_is_an_error(@TempDir Path folder) throws Exception {
        assumeTrue(Kernels.surviveCuts(), "a system that lets kernels survive it");
        copy(folder);
        AtomicInteger looks = new AtomicInteger();
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                VectorBackend backend = backend(2);
                Llama model = Llama.of(ModelWeights.read(checkpoint), backend, () -> {
                    if (looks.incrementAndGet() > 2) {
                        checkpoint.requireWhole();
                    }
                });
                Session session = model.session(4)) {
            assertThat(hasDecoder(model, backend)).isTrue();
            session.append(new int[] {1});
            looks.set(1);
            try (FileChannel channel =
                    FileChannel.open(folder.resolve("model.safetensors"), StandardOpenOption.WRITE)) {
                channel.truncate(1000);
            }

            assertThatThrownBy(() -> session.append(new int[] {2}))
                    .isInstanceOf(BadCheckpointException.class)
                    .hasMessageContaining("was cut to 1000 of");
        }
    }

    private static void copy(Path folder) throws IOException {
        for (String file : List.of("config.json", "model.safetensors")) {
            Files.copy(ArchitecturesTest.folder("mistral").resolve(file), folder.resolve(file));
        }
    }

    @Test
    void a_closed_checkpoint_is_an_error(@TempDir Path folder) throws Exception {
        copy(folder);
        Checkpoint checkpoint = Checkpoint.open(folder);
        try (VectorBackend backend = backend(2);
                Llama model = Llama.load(checkpoint, backend);
                Session session = model.session(4)) {
            session.append(new int[] {1});
            checkpoint.close();
            assertThatThrownBy(() -> session.append(new int[] {2})).isInstanceOf(IllegalStateException.class);
        }
    }
}
