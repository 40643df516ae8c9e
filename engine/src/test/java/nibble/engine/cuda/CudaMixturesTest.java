package nibble.engine.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import nibble.checkpoint.Checkpoint;
import nibble.engine.ArchitecturesTest;
import nibble.engine.Llama;
import nibble.engine.Session;
import nibble.engine.backend.Backend;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

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
    @ValueSource(strings = {"mixtral", "mixtral-fused", "qwen2-moe", "qwen3-moe", "olmoe", "gpt-oss", "gpt-oss-mxfp4"})
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
}
