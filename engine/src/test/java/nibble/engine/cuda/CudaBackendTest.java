package nibble.engine.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.function.BiFunction;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.Linear;
import nibble.engine.ArchitecturesTest;
import nibble.engine.Continuation;
import nibble.engine.Llama;
import nibble.engine.RandomModel;
import nibble.engine.ScoredContinuations;
import nibble.engine.Session;
import nibble.engine.backend.Backend;
import nibble.engine.backend.Decoder;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.host.VectorBackend;
import nibble.engine.selftest.SelfTest;
import nibble.engine.tensor.DeviceLayers;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.PlacedModel;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What needs a card; skipped, with the reason, where there is none. */
@Tag("gpu")
class CudaBackendTest {
    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    private static CudaBackend open() {
        return CudaBackend.open(0, Long.MAX_VALUE, 2);
    }

    @Test
    void every_operation_agrees_with_the_reference() {
        try (Backend backend = open()) {
            assertThat(SelfTest.run(backend, _ -> {}))
                    .allSatisfy(check ->
                            assertThat(check.passed()).as(check.toString()).isTrue());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 32, -1})
    void tokens_one_by_one_give_the_logits_of_the_reference(int groupSize) {
        tokensOneByOne(RandomModel.forCuda(groupSize, 3), true);
    }

    @ParameterizedTest
    @EnumSource
    void tokens_of_a_model_of_gguf_blocks_give_the_logits_of_the_reference(Mix mix) {
        tokensOneByOne(mix.weights(), mix != Mix.GATE_AND_UP_OF_TWO_TYPES && mix != Mix.FP16_AMONG_BLOCKS);
    }

    /** Mixtures of types as files have them, and such as the kernel of a decode step has not. */
    enum Mix {
        Q4_K_M(GgufType.Q4_K, GgufType.Q6_K, (linear, layer) -> switch (linear) {
            case V, DOWN -> layer % 2 == 0 ? GgufType.Q6_K : GgufType.Q4_K;
            default -> GgufType.Q4_K;
        }),
        Q8_0(GgufType.Q8_0, GgufType.Q8_0, (_, _) -> GgufType.Q8_0),
        Q4_0_WITH_FP16_OUTSIDE(GgufType.F16, GgufType.F16, (_, _) -> GgufType.Q4_0),
        Q_K_AND_V_OF_THREE_TYPES(GgufType.Q3_K, GgufType.Q5_K, (linear, _) -> switch (linear) {
            case Q -> GgufType.Q2_K;
            case K -> GgufType.IQ4_XS;
            case V -> GgufType.Q5_1;
            case O -> GgufType.Q3_K;
            case GATE, UP, Q_A, Q_B, KV_A, KV_B -> GgufType.Q4_1;
            case DOWN -> GgufType.Q5_0;
        }),
        K_AND_V_TOGETHER(GgufType.IQ4_NL, GgufType.IQ4_XS, (linear, _) -> switch (linear) {
            case K, V -> GgufType.IQ4_NL;
            default -> GgufType.Q5_K;
        }),
        GATE_AND_UP_OF_TWO_TYPES(
                GgufType.Q4_0, GgufType.Q6_K, (linear, _) -> linear == Linear.UP ? GgufType.Q5_K : GgufType.Q4_K),
        FP16_AMONG_BLOCKS(
                GgufType.Q4_0, GgufType.Q6_K, (linear, _) -> linear == Linear.K ? GgufType.F16 : GgufType.Q4_K);

        private final GgufType embedding;
        private final GgufType head;
        private final BiFunction<Linear, Integer, GgufType> types;

        Mix(GgufType embedding, GgufType head, BiFunction<Linear, Integer, GgufType> types) {
            this.embedding = embedding;
            this.head = head;
            this.types = types;
        }

        ModelWeights weights() {
            return RandomModel.ofBlocks(3, embedding, head, types);
        }
    }

    private static void tokensOneByOne(ModelWeights weights, boolean inOneLaunch) {
        int[] ids = RandomModel.ids(4, 40, weights.config().vocabularySize());
        try (Backend backend = open();
                Backend reference = new ReferenceBackend();
                PlacedModel placed = backend.place(weights);
                Llama model = Llama.of(weights, backend, placed);
                Llama expected = Llama.of(weights, reference);
                Session session = model.session(64);
                Session other = expected.session(64);
                KeyValueCache cache = new KeyValueCache(weights.config(), backend, 64)) {
            Optional<Decoder> decoder = backend.decoder(placed, cache);
            assertThat(decoder.isPresent()).isEqualTo(inOneLaunch);
            decoder.ifPresent(Decoder::close);
            int prompt = 17;
            assertClose(session.append(first(ids, prompt)), other.append(first(ids, prompt)));
            for (int i = prompt; i < ids.length; i++) {
                assertClose(session.append(new int[] {ids[i]}), other.append(new int[] {ids[i]}));
            }
        }
    }

    /** The first layers and their cache on the host: fp32 there, and the residual stream once in fp16 between. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 3, 4})
    void layers_that_the_host_computes_give_the_logits_of_the_reference(int onCard) {
        ModelWeights weights = RandomModel.ofBlocks(4, GgufType.Q4_K, GgufType.Q6_K, (_, _) -> GgufType.Q5_K);
        shared(weights, onCard);
        shared(RandomModel.forCuda(32, 4), onCard);
        shared(RandomModel.forCuda(0, 4), onCard);
    }

    private static void shared(ModelWeights weights, int onCard) {
        int[] ids = RandomModel.ids(4, 20, weights.config().vocabularySize());
        try (Backend backend = CudaBackend.open(0, Long.MAX_VALUE, 2, new VectorBackend(2), new DeviceLayers(onCard));
                Backend reference = new ReferenceBackend();
                Llama model = Llama.of(weights, backend);
                Llama expected = Llama.of(weights, reference);
                Session session = model.session(64);
                Session other = expected.session(64)) {
            assertClose(session.append(first(ids, 11)), other.append(first(ids, 11)));
            for (int i = 11; i < ids.length; i++) {
                assertClose(session.append(new int[] {ids[i]}), other.append(new int[] {ids[i]}));
            }
            assertClose(model.logits(ids), expected.logits(ids));
        }
    }

    /**
     * Whole sequences and tokens one by one, against transformers' logits. An fp16 activation is rounded 2^13 times as
     * coarsely as an fp32 one, so errors may be as many times those of transformers' fp32 run, twice for safety: at
     * most 0.7, where each architecture's own part moves logits by 2.5 to 17.
     */
    @ParameterizedTest
    @MethodSource("nibble.engine.ArchitecturesTest#dense")
    void every_architecture_gives_the_logits_of_transformers(String name) {
        ArchitecturesTest.Expected expected = ArchitecturesTest.Expected.of(name);
        float bound = 2 * 8192 * expected.fp32Error();
        int[] ids = expected.ids();
        int vocabulary = expected.logits().length / ids.length;
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(name));
                Backend backend = open();
                Llama model = Llama.load(checkpoint, backend);
                Session session = model.session(ids.length)) {
            float[] all = model.logits(ids);
            float[] last = session.append(first(ids, 5));
            for (int t = 5; ; t++) {
                for (int i = 0; i < vocabulary; i++) {
                    float wanted = expected.logits()[(t - 1) * vocabulary + i];
                    assertThat(last[i]).as("token %d", t - 1).isCloseTo(wanted, within(bound));
                    assertThat(all[(t - 1) * vocabulary + i])
                            .as("token %d", t - 1)
                            .isCloseTo(wanted, within(bound));
                }
                if (t == ids.length) {
                    break;
                }
                last = session.append(new int[] {ids[t]});
            }
        }
    }

    private static int[] first(int[] ids, int n) {
        return java.util.Arrays.copyOf(ids, n);
    }

    /**
     * Activations of three layers in fp16: a hundredth of the logits' spread is well above their error and below any
     * mistake.
     */
    private static void assertClose(float[] found, float[] expected) {
        double spread = 0;
        for (float value : expected) {
            spread += (double) value * value / expected.length;
        }
        for (int i = 0; i < expected.length; i++) {
            assertThat(Math.abs(found[i] - expected[i])).as("logit %d", i).isLessThan((float)
                    (0.02 * Math.sqrt(spread)));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 128})
    void a_model_that_streams_through_the_card_gives_the_same_bits(int groupSize) {
        streamed(RandomModel.forCuda(groupSize, 7));
    }

    @Test
    void layers_of_gguf_blocks_of_several_sizes_stream_through_the_card_with_the_same_bits() {
        streamed(RandomModel.ofBlocks(
                7,
                GgufType.Q4_K,
                GgufType.Q6_K,
                (linear, layer) ->
                        linear == Linear.DOWN || linear == Linear.V && layer % 3 == 1 ? GgufType.Q6_K : GgufType.Q4_K));
    }

    private static void streamed(ModelWeights weights) {
        List<int[]> sequences = List.of(RandomModel.ids(1, 50, 100), RandomModel.ids(2, 50, 100));
        List<float[]> whole;
        List<float[]> streamed;
        try (CudaBackend backend = open();
                Llama model = Llama.of(weights, backend)) {
            whole = model.logProbabilities(sequences);
        }
        try (CudaBackend backend = open();
                CudaPlacedModel placed = backend.placeStreaming(weights);
                Llama model = Llama.of(weights, backend, placed)) {
            assertThat(placed.residentLayers()).isZero();
            model.logProbabilities(sequences);
            streamed = model.logProbabilities(sequences);
        }
        for (int s = 0; s < sequences.size(); s++) {
            assertThat(streamed.get(s)).isEqualTo(whole.get(s));
        }
    }

    @Test
    void a_batch_gives_the_figures_of_its_sequences() {
        ModelWeights weights = RandomModel.forCuda(0, 2);
        List<int[]> sequences =
                List.of(RandomModel.ids(1, 33, 100), RandomModel.ids(2, 33, 100), RandomModel.ids(3, 33, 100));
        try (CudaBackend backend = open();
                Llama model = Llama.of(weights, backend)) {
            List<float[]> together = model.logProbabilities(sequences);
            for (int s = 0; s < 3; s++) {
                float[] alone = model.logProbabilities(sequences.get(s));
                for (int i = 0; i < alone.length; i++) {
                    assertThat(Math.abs(together.get(s)[i] - alone[i])).isLessThan(0.02f);
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 32})
    void texts_with_shared_beginnings_are_scored_as_each_alone(int groupSize) {
        ModelWeights weights = RandomModel.forCuda(groupSize, 3);
        List<Continuation> continuations = new ArrayList<>();
        for (int question = 0; question < 3; question++) {
            for (int answer = 0; answer < 4; answer++) {
                int[] ids = RandomModel.ids(1, 120, 100);
                int[] own = RandomModel.ids(10 + question, 50, 100);
                System.arraycopy(own, 0, ids, 60, 50);
                System.arraycopy(RandomModel.ids(20 + 4 * question + answer, 10, 100), 0, ids, 110, 10);
                continuations.add(new Continuation(ids, 10 - answer));
            }
        }
        try (CudaBackend backend = open();
                Llama model = Llama.of(weights, backend)) {
            ScoredContinuations together = model.score(continuations);
            assertThat(together.tokens()).isEqualTo(60 + 3 * 50 + 12 * 9);
            for (int i = 0; i < continuations.size(); i++) {
                Continuation c = continuations.get(i);
                float[] alone = model.logProbabilities(c.ids());
                float[] found = together.scores().get(i).logProbabilities();
                for (int t = 0; t < c.scored(); t++) {
                    assertThat(Math.abs(found[t] - alone[alone.length - c.scored() + t]))
                            .isLessThan(0.02f);
                }
            }
        }
    }

    @Test
    void memory_is_counted_and_given_back() {
        try (CudaBackend backend = open()) {
            // What stays for later calls: workspace, scratch, the pieces of expanded weights.
            try (Llama model = Llama.of(RandomModel.forCuda(32, 2), backend)) {
                model.logProbabilities(RandomModel.ids(1, 20, 100));
            }
            long before = backend.resources().memory().used();
            try (Llama model = Llama.of(RandomModel.forCuda(32, 2), backend);
                    Session session = model.session(30)) {
                session.append(RandomModel.ids(1, 9, 100));
                session.append(new int[] {5});
                assertThat(backend.resources().memory().used()).isGreaterThan(before);
            }
            // Norms and rotary tables are kept by identity, a few kilobytes.
            assertThat(backend.resources().memory().used() - before).isLessThan(1 << 20);
        }
    }

    @Test
    void too_little_memory_names_what_was_asked_and_the_option() {
        try (CudaBackend backend = CudaBackend.open(0, 200 << 20, 2)) {
            assertThatThrownBy(() -> backend.allocate(1 << 14, 1 << 14))
                    .isInstanceOf(DeviceException.class)
                    .hasMessageContaining("536.9 MB asked for a matrix [16384, 16384]")
                    .hasMessageContaining("--max-device-memory");
        }
    }

    @Test
    void matrices_of_another_precision_or_backend_are_refused() {
        try (CudaBackend backend = open();
                Backend other = new ReferenceBackend()) {
            Matrix single = backend.uploadSingle(new float[4], 2, 2);
            Matrix half = backend.upload(new float[4], 2, 2);
            assertThatThrownBy(() -> backend.add(single, half)).hasMessageContaining("single precision");
            assertThatThrownBy(() -> backend.add(other.allocate(2, 2), half)).hasMessageContaining("another backend");
        }
    }

    @Test
    void downloads_return_what_was_uploaded() {
        Random random = new Random(1);
        float[] values = new float[3 * 11];
        for (int i = 0; i < values.length; i++) {
            values[i] = Float.float16ToFloat(Float.floatToFloat16((float) random.nextGaussian()));
        }
        try (CudaBackend backend = open();
                Matrix matrix = backend.upload(values, 3, 11)) {
            assertThat(backend.download(matrix)).isEqualTo(values);
        }
    }
}
