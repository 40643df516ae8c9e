package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import nibble.checkpoint.gguf.GgufType;
import nibble.convert.blocks.BlockEncoder;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/** Blocks that a card rounds have the bytes of the host's; skipped, with the reason, where there is none. */
@Tag("gpu")
class CardRoundingTest {
    private static final int COLUMNS = 768;

    @BeforeEach
    void card() {
        String missing = Backends.whyNoCard();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    @ParameterizedTest
    @EnumSource(
            mode = Mode.INCLUDE,
            names = {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"})
    void a_card_rounds_to_the_bytes_of_the_host(GgufType type) {
        float[] rows = rows();
        float[] importance = new float[COLUMNS];
        Random random = new Random(5);
        for (int i = 0; i < COLUMNS; i++) {
            importance[i] = (float) Math.exp(3 * random.nextGaussian());
        }
        try (Backend backend = Backends.open("cuda:0", 2)) {
            byte[] expected = new byte[Math.toIntExact(type.bytes(rows.length))];
            byte[] found = new byte[expected.length];
            Arrays.fill(found, (byte) 0x5a);
            BlockEncoder.encode(type, rows, expected);
            assertThat(backend.encodeBlocks(type, rows, null, found)).isTrue();
            assertThat(found).isEqualTo(expected);
            // Types of 32 elements that search scales by importance stay with the host.
            BlockEncoder.encode(type, rows, importance, expected);
            if (backend.encodeBlocks(type, rows, importance, found)) {
                assertThat(found).isEqualTo(expected);
            }
        }
    }

    /** Rows of several sizes, of zeros, of one sign, with an outlier, and of equal numbers. */
    private static float[] rows() {
        Random random = new Random(3);
        float[] rows = new float[9 * COLUMNS];
        for (int i = 0; i < rows.length; i++) {
            float normal = (float) random.nextGaussian();
            rows[i] = switch (i / COLUMNS) {
                case 0 -> 0;
                case 1 -> 1e-6f * normal;
                case 2 -> Math.abs(normal);
                case 3 -> -Math.abs(normal);
                case 4 -> 0.25f;
                case 5 -> i % 97 == 0 ? 30 * normal : 0.02f * normal;
                case 6 -> i % 64 < 32 ? 0 : normal;
                default -> 0.02f * normal;
            };
        }
        return rows;
    }
}
