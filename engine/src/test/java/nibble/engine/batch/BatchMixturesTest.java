package nibble.engine.batch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import nibble.checkpoint.Checkpoint;
import nibble.engine.ArchitecturesTest;
import nibble.engine.Backends;
import nibble.engine.Generator;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
import nibble.engine.backend.Backend;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** Texts of a mixture together: each expert multiplies the rows that several of them send to it. */
class BatchMixturesTest {
    @ParameterizedTest
    @FieldSource("nibble.engine.MixturesTest#MODELS")
    void texts_together_are_those_of_each_alone(String name) {
        int[] ids = ArchitecturesTest.Expected.of(name).ids();
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(name));
                Backend backend = Backends.open("cpu", 2);
                Llama model = Llama.load(checkpoint, backend);
                BatchScheduler scheduler = new BatchScheduler(model, new BatchOptions(8, 100, 1000, 64))) {
            List<Heard> heard = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                heard.add(new Heard());
                scheduler.add(
                        new GenerationRequest(
                                Arrays.copyOfRange(ids, i, 2 * i + 3),
                                SamplingOptions.GREEDY,
                                20,
                                Set.of(),
                                GenerationRequest.NO_LOG_PROBABILITIES,
                                false),
                        heard.getLast());
            }
            scheduler.run();
            for (int i = 0; i < 8; i++) {
                int[] alone = Generator.generate(
                        model, Arrays.copyOfRange(ids, i, 2 * i + 3), SamplingOptions.GREEDY, 20, Set.of(), id -> {});
                assertThat(heard.get(i).ids()).as("text %d", i).isEqualTo(alone);
            }
        }
    }
}
