package nibble.convert;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import nibble.pack.Brain;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.layout.GptqLayout;
import org.junit.jupiter.api.Test;

/**
 * A slice of a published GPTQ model (Falcon3-1B-Instruct, int4), with its weights as another reader reconstructed them.
 */
class GptqGoldenTest {
    @Test
    void unpacks_to_the_expected_weights_and_repacks_to_the_same_bytes() throws IOException {
        try (var stream = GptqGoldenTest.class.getResourceAsStream("/falcon3_1b_gptq.bin")) {
            assertThat(stream).isNotNull();
            ByteBuffer file = ByteBuffer.wrap(stream.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
            assertThat(file.getInt()).as("bits").isEqualTo(4);
            int groupSize = file.getInt();
            int in = file.getInt();
            int out = file.getInt();
            assertThat(file.getInt()).as("scale type").isEqualTo(2);
            assertThat(file.getInt()).as("has g_idx").isEqualTo(1);
            byte[][] blocks = new byte[5][];
            for (int i = 0; i < blocks.length; i++) {
                blocks[i] = new byte[file.getInt()];
            }
            for (byte[] block : blocks) {
                file.get(block);
            }
            assertThat(file.hasRemaining()).isFalse();
            check(groupSize, in, out, blocks);
        }
    }

    private static void check(int groupSize, int in, int out, byte[][] blocks) {
        QuantizedLinear linear = GptqLayout.unpack(
                MemorySegment.ofArray(blocks[0]),
                MemorySegment.ofArray(blocks[2]),
                MemorySegment.ofArray(blocks[1]),
                out,
                in,
                new QuantizationSpec(4, groupSize),
                true);
        ByteBuffer expected = ByteBuffer.wrap(blocks[4]).order(ByteOrder.LITTLE_ENDIAN);
        for (int column = 0; column < in; column++) {
            for (int row = 0; row < out; row++) {
                int cell = row * linear.groups() + column / groupSize;
                float value =
                        (linear.code(row, column) - linear.zeros()[cell]) * Float.float16ToFloat(linear.scales()[cell]);
                assertThat(Brain.bits(value))
                        .as("[%d, %d]", row, column)
                        .isEqualTo(expected.getShort(2 * (column * out + row)));
            }
        }
        MemorySegment[] packed = GptqLayout.pack(linear, true);
        assertThat(packed[0].toArray(ValueLayout.JAVA_BYTE)).as("qweight").isEqualTo(blocks[0]);
        assertThat(packed[1].toArray(ValueLayout.JAVA_BYTE)).as("qzeros").isEqualTo(blocks[2]);
        assertThat(packed[2].toArray(ValueLayout.JAVA_BYTE)).as("scales").isEqualTo(blocks[1]);
        assertThat(packed[3].toArray(ValueLayout.JAVA_BYTE)).as("g_idx").isEqualTo(blocks[3]);
    }
}
