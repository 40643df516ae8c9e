package nibble.engine.batch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufType;
import nibble.engine.ArchitecturesTest;
import nibble.engine.Llama;
import nibble.engine.NonFiniteLogitException;
import nibble.engine.RandomModel;
import nibble.engine.SamplingOptions;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.engine.backend.BatchDecoder;
import nibble.engine.backend.BlockCache;
import nibble.engine.backend.DeviceException;
import nibble.engine.cuda.CudaBackend;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.tensor.Likeliest;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.Norm;
import nibble.engine.tensor.RowLogits;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Many texts at once on a card; skipped, with the reason, where there is none. */
@Tag("gpu")
class CudaBatchTest {
    /** Of a log-probability: activations of three layers in fp16, well above their error and below any mistake. */
    private static final float ERROR = 0.03f;

    private static final BatchOptions TWELVE = new BatchOptions(12, 100, 4000, 64);

    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    private static CudaBackend open() {
        return CudaBackend.open(0, Long.MAX_VALUE, 2);
    }

    @ParameterizedTest
    @CsvSource({"0, 64, 12", "32, 64, 12", "-1, 23, 12", "128, 16, 12", "32, 64, 1"})
    void texts_together_have_the_probabilities_of_the_reference(int groupSize, int tokensPerStep, int sequences) {
        together(RandomModel.forCuda(groupSize, 3), new BatchOptions(sequences, 100, 4000, tokensPerStep), ERROR);
    }

    /** Codes of keys differ where activations in fp16 do. */
    @ParameterizedTest
    @CsvSource({"0, 64", "32, 23"})
    void texts_with_8_bit_keys_have_the_probabilities_of_the_reference_with_8_bit_keys(int groupSize, int tokens) {
        BatchOptions options = new BatchOptions(12, 100, 4000, tokens, CacheType.INT8);
        together(RandomModel.forCuda(groupSize, 3), options, 2 * ERROR);
    }

    /** Gate and up in two matrices, k and v of other types, and a head in blocks. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void texts_of_a_model_of_gguf_blocks_have_the_probabilities_of_the_reference(boolean mixed) {
        together(
                RandomModel.ofBlocks(3, GgufType.Q4_0, GgufType.Q6_K, (linear, layer) -> switch (linear) {
                    case K -> mixed ? GgufType.F16 : GgufType.Q4_K;
                    case UP -> mixed ? GgufType.Q5_K : GgufType.Q4_K;
                    case V, DOWN -> layer % 2 == 0 ? GgufType.Q6_K : GgufType.Q4_K;
                    default -> GgufType.Q4_K;
                }),
                TWELVE,
                ERROR);
    }

    /** Biases, norms of heads, scaled embeddings, GELU, windows; caps, norms behind, rope by layer or of a part. */
    @ParameterizedTest
    @MethodSource("nibble.engine.ArchitecturesTest#dense")
    void texts_of_other_architectures_have_the_probabilities_of_the_reference(String name) throws Exception {
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(name))) {
            // As their logits one by one: of a logit and of the logarithm of the sum.
            float bound = 2 * 2 * 8192 * ArchitecturesTest.Expected.of(name).fp32Error();
            together(ModelWeights.read(checkpoint), TWELVE, bound);
        }
    }

    private static void together(ModelWeights weights, BatchOptions options, float bound) {
        int vocabulary = weights.config().vocabularySize();
        List<int[]> prompts = new ArrayList<>();
        for (int i = 0; i < 14; i++) {
            prompts.add(RandomModel.ids(i % 3 == 0 ? 0 : i, 1 + i * 7 % 45, vocabulary));
        }
        List<Heard> heard = new ArrayList<>();
        try (CudaBackend backend = open();
                Llama model = Llama.of(weights, backend);
                BatchScheduler scheduler = new BatchScheduler(model, options)) {
            for (int i = 0; i < prompts.size(); i++) {
                SamplingOptions sampling =
                        i % 2 == 0 ? SamplingOptions.GREEDY : new SamplingOptions(0.9, 0.9, 20, 0.02, 1.1, 0.2, 0.1, i);
                heard.add(new Heard());
                scheduler.add(
                        new GenerationRequest(prompts.get(i), sampling, 4 + i, Set.of(), 3, true), heard.getLast());
            }
            scheduler.run();
        }
        try (Backend reference = new ReferenceBackend();
                Llama model = Llama.of(weights, reference)) {
            for (int i = 0; i < prompts.size(); i++) {
                Heard one = heard.get(i);
                assertThat(one.failure).isNull();
                assertThat(one.tokens).hasSize(4 + i);
                int[] prompt = prompts.get(i);
                int[] ids = Arrays.copyOf(prompt, prompt.length + one.tokens.size());
                System.arraycopy(one.ids(), 0, ids, prompt.length, one.tokens.size());
                float[] expected = options.cacheType() == CacheType.AUTO
                        ? model.logProbabilities(ids)
                        : logProbabilities(model, options.cacheType(), ids);
                for (int t = 1; t < ids.length; t++) {
                    ScoredToken token = t < prompt.length ? one.prompt.get(t) : one.tokens.get(t - prompt.length);
                    assertThat(token.id()).isEqualTo(ids[t]);
                    assertThat(token.logProbability())
                            .as("text %d, token %d", i, t)
                            .isCloseTo(expected[t - 1], within(bound));
                    float best = token.alternatives().getFirst().logProbability();
                    assertThat(token.rank() == 1).isEqualTo(token.logProbability() == best);
                    if (i % 2 == 0 && t >= prompt.length) {
                        assertThat(token.rank()).isEqualTo(1);
                    }
                }
            }
        }
    }

    private static float[] logProbabilities(Llama model, CacheType type, int[] ids) {
        Heard heard = new Heard();
        try (BatchScheduler scheduler = new BatchScheduler(model, new BatchOptions(1, 1, ids.length + 16, 99, type))) {
            scheduler.add(new GenerationRequest(ids, SamplingOptions.GREEDY, 0, Set.of(), 0, true), heard);
            scheduler.run();
        }
        float[] result = new float[ids.length - 1];
        for (int i = 0; i < result.length; i++) {
            result[i] = heard.prompt.get(i + 1).logProbability();
        }
        return result;
    }

    /** 64 texts in one step, and each by itself: other kernels multiply one row than many. */
    @Test
    void greedy_texts_together_are_as_likely_as_each_alone() {
        ModelWeights weights = RandomModel.forCuda(32, 3);
        try (CudaBackend backend = open();
                Llama model = Llama.of(weights, backend)) {
            List<Heard> together = new ArrayList<>();
            List<GenerationRequest> requests = new ArrayList<>();
            for (int i = 0; i < 70; i++) {
                requests.add(new GenerationRequest(
                        RandomModel.ids(i, 3 + i % 20, 100), SamplingOptions.GREEDY, 6, Set.of(), 2, false));
            }
            try (BatchScheduler scheduler = new BatchScheduler(model, new BatchOptions(70, 100, 4000, 200))) {
                for (GenerationRequest request : requests) {
                    together.add(new Heard());
                    scheduler.add(request, together.getLast());
                }
                scheduler.run();
            }
            try (BatchScheduler scheduler = new BatchScheduler(model, new BatchOptions(1, 100, 100, 200))) {
                for (int i = 0; i < requests.size(); i += 9) {
                    Heard alone = new Heard();
                    scheduler.add(requests.get(i), alone);
                    scheduler.run();
                    List<ScoredToken> others = together.get(i).tokens;
                    for (int t = 0; t < 6; t++) {
                        ScoredToken token = alone.tokens.get(t);
                        assertThat(others.get(t).logProbability()).isCloseTo(token.logProbability(), within(ERROR));
                        if (others.get(t).id() != token.id()) {
                            // As likely within the error of both.
                            assertThat(token.alternatives().get(1).logProbability())
                                    .isCloseTo(token.logProbability(), within(2 * ERROR));
                            break;
                        }
                    }
                }
            }
        }
    }

    /** Answers of tasks: more texts than a step has rows. */
    @Test
    void wanted_texts_are_the_likeliest_continuations() {
        ModelWeights weights = RandomModel.forCuda(32, 2);
        List<int[]> prompts = new ArrayList<>();
        List<int[]> written = new ArrayList<>();
        List<WantedText> wanted = new ArrayList<>();
        for (int i = 0; i < 80; i++) {
            int index = i;
            prompts.add(RandomModel.ids(i, 2 + i % 31, 100));
            written.add(new int[0]);
            wanted.add(new WantedText(prompts.get(i), 5, Set.of(), _ -> true, ids -> written.set(index, ids)));
        }
        try (CudaBackend backend = open();
                Llama model = Llama.of(weights, backend)) {
            assertThat(backend.gainsByBatching()).isTrue();
            BatchWriter.write(model, wanted);
        }
        try (Backend reference = new ReferenceBackend();
                Llama model = Llama.of(weights, reference)) {
            int vocabulary = weights.config().vocabularySize();
            for (int i = 0; i < prompts.size(); i += 7) {
                assertThat(written.get(i)).hasSize(5);
                int[] prompt = prompts.get(i);
                int[] ids = Arrays.copyOf(prompt, prompt.length + 5);
                System.arraycopy(written.get(i), 0, ids, prompt.length, 5);
                float[] logits = model.logits(ids);
                for (int t = prompt.length - 1; t < ids.length - 1; t++) {
                    float best = Float.NEGATIVE_INFINITY;
                    for (int v = 0; v < vocabulary; v++) {
                        best = Math.max(best, logits[t * vocabulary + v]);
                    }
                    assertThat(logits[t * vocabulary + ids[t + 1]]).isCloseTo(best, within(2 * ERROR));
                }
            }
        }
    }

    @Test
    void a_cache_on_a_card_counts_fp16_and_takes_what_is_free() {
        ModelWeights weights = RandomModel.forCuda(32, 2);
        int numbers = 2 * 2 * weights.config().kvHeads() * weights.config().headDim();
        try (CudaBackend backend = open()) {
            long free = backend.resources().memory().available();
            assertThat(backend.cacheTokenBytes(weights.config(), CacheType.AUTO))
                    .isEqualTo(2L * numbers);
            assertThat(backend.cacheMemory(weights.config())).isBetween(free / 2, free);
            assertThat(backend.cacheTokens(weights.config(), CacheType.AUTO, 1000, 10))
                    .isEqualTo(1000);
        }
        try (CudaBackend small = CudaBackend.open(0, 200 << 20, 2)) {
            long fits = small.cacheMemory(weights.config()) / (2L * numbers);
            assertThat(fits * 2 * numbers).isLessThan(200 << 20);
            assertThat(small.cacheTokens(weights.config(), CacheType.AUTO, Long.MAX_VALUE / 4, 10))
                    .isEqualTo((int) fits);
        }
    }

    @Test
    void logits_that_are_no_numbers_fail_the_text() {
        ModelWeights sound = RandomModel.forCuda(0, 2);
        float[] norm = sound.finalNorm().gain().clone();
        norm[3] = Float.NaN;
        ModelWeights weights =
                new ModelWeights(sound.config(), sound.embedding(), sound.layers(), new Norm(norm), sound.head());
        try (CudaBackend backend = open();
                Llama model = Llama.of(weights, backend);
                BatchScheduler scheduler = new BatchScheduler(model, new BatchOptions(2, 2, 100, 64))) {
            Heard heard = new Heard();
            scheduler.add(new GenerationRequest(new int[] {1, 2, 3}, SamplingOptions.GREEDY, 4, Set.of()), heard);
            scheduler.run();
            assertThat(heard.failure).isInstanceOf(NonFiniteLogitException.class);
        }
    }

    @Test
    void the_likeliest_ids_of_the_card_are_those_of_all_logits() {
        ModelWeights weights = RandomModel.forCuda(0, 2);
        Random random = new Random(3);
        int rows = 9;
        try (CudaBackend backend = open();
                Llama model = Llama.of(weights, backend);
                BlockCache cache = new BlockCache(weights.config(), backend, CacheType.AUTO, 2 * rows, 16, 32);
                BatchDecoder decoder =
                        backend.batchDecoder(model.placed(), cache, rows).orElseThrow()) {
            for (int step = 0; step < 3; step++) {
                List<BatchDecoder.Row> next = new ArrayList<>();
                for (int row = 0; row < rows; row++) {
                    double temperature = row % 3 * 0.7;
                    int asked = row == 0
                            ? Likeliest.NONE
                            : random.nextInt(weights.config().vocabularySize());
                    next.add(new BatchDecoder.Row(
                            row + step, step, new int[] {2 * row + 1}, new BatchDecoder.Wanted(temperature, asked)));
                }
                List<RowLogits> found = decoder.next(next);
                for (int row = 0; row < rows; row++) {
                    check(found.get(row), next.get(row).wanted());
                }
            }
        }
    }

    @Test
    void logits_of_a_prompt_have_room_for_64_rows_however_few_texts_run() {
        ModelWeights weights = RandomModel.forCuda(0, 2);
        try (CudaBackend backend = open();
                Llama model = Llama.of(weights, backend);
                BlockCache cache = new BlockCache(weights.config(), backend, CacheType.AUTO, 4, 16, 32);
                BatchDecoder decoder =
                        backend.batchDecoder(model.placed(), cache, 1).orElseThrow()) {
            assertThat(decoder.mostRows()).isEqualTo(1);
            assertThat(decoder.mostLogits()).isEqualTo(64);
        }
    }

    @Test
    void a_decoder_that_does_not_fit_leaves_no_memory_taken() {
        ModelWeights weights = RandomModel.forCuda(32, 2);
        List<Matrix> others = new ArrayList<>();
        try (CudaBackend backend = CudaBackend.open(0, 2L << 30, 2);
                Llama model = Llama.of(weights, backend);
                BlockCache cache = new BlockCache(weights.config(), backend, CacheType.AUTO, 8, 16, 32)) {
            long free = backend.resources().memory().available();
            others.add(backend.allocate(1, (int) (free - (4 << 20)) / Short.BYTES));
            assertThatThrownBy(() -> {
                        while (true) {
                            others.add(backend.allocate(1, 1 << 13));
                        }
                    })
                    .isInstanceOf(DeviceException.class);
            int failures = 0;
            boolean fits = false;
            while (!fits) {
                long before = backend.deviceBytes();
                try (BatchDecoder decoder =
                        backend.batchDecoder(model.placed(), cache, 4).orElseThrow()) {
                    fits = decoder.mostRows() == 4;
                } catch (DeviceException e) {
                    failures++;
                }
                assertThat(backend.deviceBytes()).isEqualTo(before);
                others.removeLast().close();
            }
            assertThat(failures).isGreaterThan(8);
        }
    }

    private static void check(RowLogits found, BatchDecoder.Wanted wanted) {
        float[] all = found.all();
        Likeliest likeliest = found.likeliest().orElseThrow();
        Integer[] order = new Integer[all.length];
        Arrays.setAll(order, i -> i);
        Arrays.sort(order, (a, b) -> all[a] == all[b] ? Integer.compare(a, b) : Float.compare(all[b], all[a]));
        assertThat(likeliest.ids().length).isEqualTo(Math.min(128, all.length));
        assertThat(found.likeliest(3).orElseThrow().ids()).isEqualTo(Arrays.copyOf(likeliest.ids(), 3));
        double sum = 0;
        double tempered = 0;
        for (int i = 0; i < all.length; i++) {
            if (i < likeliest.ids().length) {
                assertThat(likeliest.ids()[i]).isEqualTo(order[i]);
                assertThat(likeliest.logits()[i]).isEqualTo(all[order[i]]);
            }
            sum += Math.exp((double) all[i] - all[order[0]]);
            tempered += Math.exp(
                    ((double) all[i] - all[order[0]]) / (wanted.temperature() == 0 ? 1 : wanted.temperature()));
        }
        assertThat(likeliest.sum()).isCloseTo(sum, within(sum * Likeliest.SUM_ERROR));
        assertThat(likeliest.tempered()).isCloseTo(tempered, within(tempered * Likeliest.SUM_ERROR));
        if (wanted.asked() != Likeliest.NONE) {
            assertThat(likeliest.askedLogit()).isEqualTo(all[wanted.asked()]);
            int rank = 1;
            for (float logit : all) {
                rank += logit > all[wanted.asked()] ? 1 : 0;
            }
            assertThat(likeliest.askedRank()).isEqualTo(rank);
        }
    }
}
