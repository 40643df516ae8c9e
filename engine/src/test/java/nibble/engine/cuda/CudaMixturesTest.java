package nibble.engine.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.engine.ArchitecturesTest;
import nibble.engine.Llama;
import nibble.engine.RandomMixture;
import nibble.engine.RandomModel;
import nibble.engine.Session;
import nibble.engine.backend.Backend;
import nibble.engine.backend.Decoder;
import nibble.engine.backend.KeyValueCache;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.PlacedModel;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.FieldSource;

/** Mixtures of experts on a card, against transformers' logits. */
@Tag("gpu")
class CudaMixturesTest {
    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    /**
     * Whole sequences and tokens one by one. As for other architectures, errors may be 2^13 times those of
     * transformers' fp32 run, twice for safety. A token whose experts are nearly equal may come to another one; that
     * moves its logits, and those of tokens behind it, by more.
     */
    @ParameterizedTest
    @FieldSource("nibble.engine.MixturesTest#MODELS")
    void every_mixture_gives_the_logits_of_transformers(String name) {
        ArchitecturesTest.Expected expected = ArchitecturesTest.Expected.of(name);
        float bound = 2 * 8192 * expected.fp32Error();
        int[] ids = expected.ids();
        int vocabulary = expected.logits().length / ids.length;
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(name));
                Backend backend = CudaBackend.open(0, Long.MAX_VALUE, 2);
                Llama model = Llama.load(checkpoint, backend);
                Session session = model.session(ids.length)) {
            float[] all = model.logits(ids);
            float worst = 0;
            for (int t = 0; t < ids.length; t++) {
                float[] last = session.append(new int[] {ids[t]});
                for (int i = 0; i < vocabulary; i++) {
                    float wanted = expected.logits()[t * vocabulary + i];
                    worst = Math.max(worst, Math.abs(last[i] - wanted));
                    worst = Math.max(worst, Math.abs(all[t * vocabulary + i] - wanted));
                    assertThat(last[i]).isFinite();
                }
            }
            assertThat(worst).as(name + " " + Arrays.toString(ids)).isLessThan(bound);
        }
    }

    /**
     * Each token in one launch, which chooses experts on the card. Where two experts are nearly equal another one may
     * be chosen: for no more than a few tokens of these.
     */
    @ParameterizedTest
    @EnumSource
    void tokens_one_by_one_give_the_logits_of_the_reference(RandomMixture mixture) {
        ModelWeights weights = mixture.weights();
        int[] ids = RandomModel.ids(4, 60, weights.config().vocabularySize());
        try (Backend backend = CudaBackend.open(0, Long.MAX_VALUE, 2);
                Backend reference = new ReferenceBackend();
                PlacedModel placed = backend.place(weights);
                Llama model = Llama.of(weights, backend, placed);
                Llama expected = Llama.of(weights, reference);
                Session session = model.session(64);
                Session other = expected.session(64);
                KeyValueCache cache = new KeyValueCache(weights.config(), backend, 64)) {
            Optional<Decoder> decoder = backend.decoder(placed, cache);
            assertThat(decoder).isPresent();
            decoder.get().close();
            session.append(Arrays.copyOf(ids, 5));
            other.append(Arrays.copyOf(ids, 5));
            List<Double> errors = new ArrayList<>();
            for (int i = 5; i < ids.length; i++) {
                errors.add(error(session.append(new int[] {ids[i]}), other.append(new int[] {ids[i]})));
            }
            assertThat(errors.stream().filter(error -> error > 0.02))
                    .as(errors.toString())
                    .hasSizeLessThan(8);
        }
    }

    /** The largest difference of a logit, in root mean squares of the logits. */
    private static double error(float[] found, float[] expected) {
        double squares = 0;
        double worst = 0;
        for (int i = 0; i < expected.length; i++) {
            squares += (double) expected[i] * expected[i] / expected.length;
            worst = Math.max(worst, Math.abs(found[i] - expected[i]));
            assertThat(found[i]).isFinite();
        }
        return worst / Math.sqrt(squares);
    }
}
