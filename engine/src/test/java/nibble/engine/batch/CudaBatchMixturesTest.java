package nibble.engine.batch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import nibble.engine.Llama;
import nibble.engine.RandomMixture;
import nibble.engine.RandomModel;
import nibble.engine.SamplingOptions;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.engine.backend.BatchDecoder;
import nibble.engine.backend.BlockCache;
import nibble.engine.cuda.CudaBackend;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.tensor.ModelWeights;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Many texts of a mixture at once on a card; skipped, with the reason, where there is none. */
@Tag("gpu")
class CudaBatchMixturesTest {
    private static final int NEW_TOKENS = 12;

    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    /**
     * Most tokens are as likely as for the reference. Where two experts are nearly equal, rounding may choose another
     * one, which moves the probabilities of that token and those behind it.
     */
    @ParameterizedTest
    @CsvSource({
        "CODES_OF_MANY_EXPERTS, 1",
        "CODES_OF_MANY_EXPERTS, 20",
        "CODES_WITH_A_SHARED_EXPERT, 7",
        "CODES_WITH_A_SHARED_EXPERT, 50",
        "HALVES, 20",
        "BLOCKS, 3",
        "BLOCKS, 50"
    })
    void texts_together_have_the_probabilities_of_the_reference(RandomMixture mixture, int texts) {
        ModelWeights weights = mixture.weights();
        List<int[]> prompts = new ArrayList<>();
        List<Heard> heard = new ArrayList<>();
        try (CudaBackend backend = CudaBackend.open(0, Long.MAX_VALUE, 2);
                Llama model = Llama.of(weights, backend)) {
            try (BlockCache cache = new BlockCache(weights.config(), backend, CacheType.AUTO, 8, 16, 32)) {
                assertThat(backend.batchDecoder(model.placed(), cache, texts)).hasValueSatisfying(BatchDecoder::close);
            }
            try (BatchScheduler scheduler = new BatchScheduler(model, new BatchOptions(texts, 100, 4000, 200))) {
                for (int i = 0; i < texts; i++) {
                    prompts.add(
                            RandomModel.ids(i, 1 + i * 7 % 23, weights.config().vocabularySize()));
                    heard.add(new Heard());
                    scheduler.add(
                            new GenerationRequest(
                                    prompts.get(i), SamplingOptions.GREEDY, NEW_TOKENS, Set.of(), 1, false),
                            heard.getLast());
                }
                scheduler.run();
            }
        }
        List<Float> errors = new ArrayList<>();
        try (Backend reference = new ReferenceBackend();
                Llama model = Llama.of(weights, reference)) {
            for (int i = 0; i < texts; i++) {
                assertThat(heard.get(i).failure).isNull();
                int[] prompt = prompts.get(i);
                int[] ids = Arrays.copyOf(prompt, prompt.length + NEW_TOKENS);
                System.arraycopy(heard.get(i).ids(), 0, ids, prompt.length, NEW_TOKENS);
                float[] expected = model.logProbabilities(ids);
                for (int t = 0; t < NEW_TOKENS; t++) {
                    errors.add(Math.abs(heard.get(i).tokens.get(t).logProbability() - expected[prompt.length + t - 1]));
                }
            }
        }
        assertThat(errors.stream().filter(error -> error > 0.05f).count())
                .as(errors.toString())
                .isLessThan(errors.size() / 8);
    }
}
