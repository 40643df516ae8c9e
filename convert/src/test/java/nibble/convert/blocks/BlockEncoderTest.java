package nibble.convert.blocks;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import nibble.checkpoint.gguf.BlockDecoder;
import nibble.checkpoint.gguf.GgufType;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class BlockEncoderTest {
    /** The types that are written: IQ4 are only read, and others only named. */
    static Stream<GgufType> written() {
        return Stream.of(GgufType.values())
                .filter(type -> type.isRead()
                        && !Set.of(GgufType.IQ4_NL, GgufType.IQ4_XS).contains(type));
    }

    /** Rows with the blocks of the gguf package; scripts/gguf_encoded.py made them. */
    @Test
    void blocks_of_32_are_those_of_the_gguf_package() throws IOException {
        try (var stream = BlockEncoderTest.class.getResourceAsStream("/gguf_encoded.bin")) {
            assertThat(stream).isNotNull();
            ByteBuffer file = ByteBuffer.wrap(stream.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
            float[] row = new float[1024];
            for (int i = 0; i < row.length; i++) {
                row[i] = file.getFloat();
            }
            int types = 0;
            while (file.hasRemaining()) {
                int id = file.getInt();
                GgufType type = Arrays.stream(GgufType.values())
                        .filter(t -> t.id() == id)
                        .findFirst()
                        .orElseThrow();
                byte[] expected = new byte[file.getInt()];
                file.get(expected);
                byte[] found = new byte[expected.length];
                BlockEncoder.encode(type, row, found);
                assertThat(found).as(type.name()).isEqualTo(expected);
                types++;
            }
            assertThat(types).isEqualTo(6);
        }
    }

    /**
     * Root of the relative squared error for normally distributed weights; a type's bits allow no less than about half.
     */
    @ParameterizedTest
    @CsvSource({
        "Q2_K, 0.30",
        "Q3_K, 0.16",
        "Q4_K, 0.075",
        "Q5_K, 0.038",
        "Q6_K, 0.019",
        "Q4_0, 0.10",
        "Q4_1, 0.085",
        "Q5_0, 0.05",
        "Q5_1, 0.045",
        "Q8_0, 0.006",
        "F16, 0.0003",
        "BF16, 0.002",
        "F32, 0"
    })
    void the_error_of_a_type_is_what_its_bits_allow(GgufType type, double bound) {
        float[] row = new float[8192];
        Random random = new Random(1);
        for (int i = 0; i < row.length; i++) {
            row[i] = (float) random.nextGaussian() * 0.02f;
        }
        assertThat(relativeError(type, row)).isLessThanOrEqualTo(bound);
    }

    /**
     * A few columns meet large activations. The output's error, by the diagonal of the second moment, must fall
     * clearly; that of the numbers themselves must rise, or nothing was weighed.
     */
    @ParameterizedTest
    @EnumSource(
            value = GgufType.class,
            names = {"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q4_0", "Q4_1", "Q5_0", "Q5_1"})
    void importance_takes_error_from_the_columns_that_count(GgufType type) {
        int columns = 1024;
        float[] rows = new float[16 * columns];
        float[] importance = new float[columns];
        Random random = new Random(3);
        for (int i = 0; i < rows.length; i++) {
            rows[i] = (float) random.nextGaussian() * 0.02f;
        }
        for (int i = 0; i < columns; i++) {
            importance[i] = (float) Math.exp(2 * random.nextGaussian());
        }
        float[] plain = roundTrip(type, rows, null);
        float[] weighed = roundTrip(type, rows, importance);
        double ratio = error(rows, weighed, importance) / error(rows, plain, importance);
        assertThat(ratio)
                .as(type + ": weighted error beside that without importance")
                .isLessThan(0.9);
        float[] alike = new float[columns];
        Arrays.fill(alike, 1);
        assertThat(error(rows, weighed, alike)).isGreaterThan(error(rows, plain, alike) * 0.98);
    }

    /** Rows are encoded many at a time, and each as if it were alone. */
    @ParameterizedTest
    @MethodSource("written")
    void a_row_has_the_same_blocks_alone_and_among_others(GgufType type) {
        int columns = 768;
        float[] rows = new float[37 * columns];
        float[] importance = new float[columns];
        Random random = new Random(4);
        for (int i = 0; i < rows.length; i++) {
            rows[i] = (float) random.nextGaussian();
        }
        for (int i = 0; i < columns; i++) {
            importance[i] = random.nextFloat(0.1f, 2);
        }
        int rowBytes = (int) type.bytes(columns);
        byte[] together = new byte[37 * rowBytes];
        BlockEncoder.encode(type, rows, importance, together);
        for (int row = 0; row < 37; row += 9) {
            byte[] alone = new byte[rowBytes];
            BlockEncoder.encode(type, Arrays.copyOfRange(rows, row * columns, (row + 1) * columns), importance, alone);
            assertThat(alone)
                    .as("row %d", row)
                    .isEqualTo(Arrays.copyOfRange(together, row * rowBytes, (row + 1) * rowBytes));
        }
    }

    private static double error(float[] rows, float[] decoded, float[] importance) {
        double error = 0;
        for (int i = 0; i < rows.length; i++) {
            error += importance[i % importance.length] * Math.pow(decoded[i] - rows[i], 2);
        }
        return error;
    }

    @ParameterizedTest
    @MethodSource("written")
    void rows_that_break_formulas_stay_finite_and_near(GgufType type) {
        float[] row = new float[256 * 6];
        Arrays.fill(row, 256, 512, 0.5f);
        Arrays.fill(row, 512, 768, -0.5f);
        row[800] = 1;
        row[1100] = -3;
        for (int i = 0; i < 256; i++) {
            row[1280 + i] = 1e-7f * (i - 100);
        }
        float[] decoded = roundTrip(type, row);
        for (int i = 0; i < 1280; i++) {
            float bound = Math.max(0.08f, Math.abs(row[i]) * 0.08f);
            assertThat(decoded[i])
                    .as("%s element %d", type, i)
                    .isCloseTo(row[i], org.assertj.core.api.Assertions.within(bound));
        }
        for (int i = 1280; i < 1536; i++) {
            assertThat(Math.abs(decoded[i])).as("%s element %d", type, i).isLessThan(1e-4f);
        }
    }

    private static double relativeError(GgufType type, float[] row) {
        float[] decoded = roundTrip(type, row);
        double error = 0;
        double power = 0;
        for (int i = 0; i < row.length; i++) {
            error += Math.pow(decoded[i] - row[i], 2);
            power += Math.pow(row[i], 2);
        }
        return Math.sqrt(error / power);
    }

    private static float[] roundTrip(GgufType type, float[] row) {
        return roundTrip(type, row, null);
    }

    private static float[] roundTrip(GgufType type, float[] row, float @Nullable [] importance) {
        byte[] blocks = new byte[(int) type.bytes(row.length)];
        BlockEncoder.encode(type, row, importance, blocks);
        float[] decoded = new float[row.length];
        if (type.blockElements() == 1) {
            ByteBuffer b = ByteBuffer.wrap(blocks).order(ByteOrder.LITTLE_ENDIAN);
            for (int i = 0; i < row.length; i++) {
                decoded[i] = switch (type) {
                    case F32 -> b.getFloat();
                    case F16 -> Float.float16ToFloat(b.getShort());
                    default -> Float.intBitsToFloat(b.getShort() << 16);
                };
            }
            return decoded;
        }
        ByteBuffer into = ByteBuffer.allocate(4 * row.length).order(ByteOrder.LITTLE_ENDIAN);
        BlockDecoder.decode(type, MemorySegment.ofArray(blocks), MemorySegment.ofBuffer(into));
        into.asFloatBuffer().get(decoded);
        return decoded;
    }
}
