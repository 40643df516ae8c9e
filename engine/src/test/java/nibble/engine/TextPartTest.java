package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.source.Finding;
import nibble.engine.backend.Backend;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Models that take images too; checkpoint/src/test/scripts/vision.py made them and the logits of a text. */
class TextPartTest {
    @ParameterizedTest
    @CsvSource({"gemma3, reference", "gemma3, cpu", "gemma3-renamed, reference"})
    void a_text_has_the_logits_of_transformers(String model, String device) {
        ArchitecturesTest.Expected expected = ArchitecturesTest.Expected.of("../vision/gemma3");
        Path folder = ArchitecturesTest.folder("../vision/" + model);
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                Backend backend = Backends.open(device, 2);
                Llama llama = Llama.load(checkpoint, backend)) {
            float[] logits = llama.logits(expected.ids());
            assertThat(logits).hasSameSizeAs(expected.logits());
            for (int i = 0; i < logits.length; i++) {
                assertThat(Math.abs(logits[i] - expected.logits()[i]))
                        .as("logit %d", i)
                        .isLessThanOrEqualTo(4 * expected.fp32Error());
            }
            assertThat(checkpoint.remarks())
                    .extracting(Finding::message)
                    .singleElement()
                    .asString()
                    .contains("Gemma3ForConditionalGeneration takes more than text", "as a Gemma3ForCausalLM");
        }
    }
}
