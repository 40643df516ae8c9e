package nibble.engine.gradient;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import nibble.checkpoint.Checkpoint;
import nibble.engine.ArchitecturesTest;
import nibble.engine.backend.Backend;
import nibble.engine.cuda.CudaBackend;
import nibble.engine.tensor.ModelWeights;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Gradients of whole models on a card, against PyTorch's as {@link DivergencePassTest} has them; skipped, with the
 * reason, where there is no card. {@link nibble.engine.selftest.SelfTest} compares each operation with the reference.
 */
@Tag("gpu")
class CudaDivergencePassTest {
    private static final long MEMORY = 4L << 30;

    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    /** Operands of products have 11 bits, so sums of gradients are right to a part in a hundred, most far better. */
    @ParameterizedTest
    @MethodSource("nibble.engine.gradient.DivergencePassTest#tunable")
    void gradients_are_those_of_pytorch(String model) throws IOException {
        JsonNode expected = new ObjectMapper()
                .readTree(Path.of("src", "test", "resources", "gradients.json").toFile())
                .get(model);
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(model));
                Backend backend = CudaBackend.open(0, MEMORY, 2)) {
            ModelWeights original = ModelWeights.read(checkpoint);
            int[] ids = ArchitecturesTest.Expected.of(model).ids();
            try (TunedModel tuned = DivergencePassTest.tuned(original, backend, 100, true)) {
                double divergence = DivergencePassTest.divergence(tuned, original, backend, ids, 100);

                assertThat(divergence).isCloseTo(expected.get("divergence").asDouble(), within(0.003 * divergence));
                DivergencePassTest.assertGradients(expected, tuned, checkpoint, 0.01);
            }
        }
    }

    /** All on the card, or codes from the host and each layer twice forwards: the same bits. */
    @Test
    void little_memory_gives_the_same_bits() {
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder("qwen3"));
                Backend backend = CudaBackend.open(0, MEMORY, 2)) {
            ModelWeights original = ModelWeights.read(checkpoint);
            int[] ids = ArchitecturesTest.Expected.of("qwen3").ids();
            try (TunedModel first = DivergencePassTest.tuned(original, backend, 100);
                    TunedModel second = DivergencePassTest.tuned(original, backend, 0)) {
                double kept = DivergencePassTest.divergence(first, original, backend, ids, 100);
                double repeated = DivergencePassTest.divergence(second, original, backend, ids, 1);

                assertThat(repeated).isEqualTo(kept);
                for (int i = 0; i < first.parameters().size(); i++) {
                    assertThat(second.parameters().get(i).gradient())
                            .isEqualTo(first.parameters().get(i).gradient());
                }
            }
        }
    }
}
