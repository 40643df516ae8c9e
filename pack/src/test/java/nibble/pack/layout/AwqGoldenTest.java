package nibble.pack.layout;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import nibble.pack.Half;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.junit.jupiter.api.Test;

/**
 * A slice of a published AWQ model (Falcon3-1B-Instruct-AWQ), with its weights as another reader reconstructed them.
 */
class AwqGoldenTest {
    private record Golden(
            int groupSize, int in, int out, byte[] qweight, byte[] scales, byte[] qzeros, byte[] expected) {}

    @Test
    void unpacks_to_the_expected_weights_and_repacks_to_the_same_bytes() throws IOException {
        Golden golden = read();
        QuantizationSpec spec = new QuantizationSpec(4, golden.groupSize);
        QuantizedLinear linear = AwqLayout.unpack(
                new AwqLayout.AwqTensors(
                        MemorySegment.ofArray(golden.qweight),
                        MemorySegment.ofArray(golden.qzeros),
                        MemorySegment.ofArray(golden.scales)),
                golden.out,
                golden.in,
                spec);

        float[] weights = linear.dequantize();
        ByteBuffer expected = ByteBuffer.wrap(golden.expected).order(ByteOrder.LITTLE_ENDIAN);
        for (int column = 0; column < golden.in; column++) {
            for (int row = 0; row < golden.out; row++) {
                float value = Float.intBitsToFloat(expected.getShort(2 * (column * golden.out + row)) << 16);
                int at = row * golden.in + column;
                float unrounded = (linear.code(row, column)
                                - linear.zeros()[row * linear.groups() + column / golden.groupSize])
                        * Float.float16ToFloat(linear.scales()[row * linear.groups() + column / golden.groupSize]);
                assertThat(bfloat16(unrounded)).as("[%d, %d]", row, column).isEqualTo(value);
                assertThat(weights[at]).isEqualTo(Half.round(unrounded));
            }
        }

        AwqLayout.AwqTensors packed = AwqLayout.pack(linear);
        assertThat(bytes(packed.qweight())).isEqualTo(golden.qweight);
        assertThat(bytes(packed.qzeros())).isEqualTo(golden.qzeros);
        assertThat(bytes(packed.scales())).isEqualTo(golden.scales);
    }

    private static byte[] bytes(MemorySegment segment) {
        return segment.toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
    }

    private static float bfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        return Float.intBitsToFloat((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000);
    }

    private static Golden read() throws IOException {
        try (var stream = AwqGoldenTest.class.getResourceAsStream("/falcon3_1b_awq.bin")) {
            assertThat(stream).isNotNull();
            ByteBuffer file = ByteBuffer.wrap(stream.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
            assertThat(file.getInt()).as("bits").isEqualTo(4);
            int groupSize = file.getInt();
            int in = file.getInt();
            int out = file.getInt();
            assertThat(file.getInt()).as("scale type").isEqualTo(2);
            byte[] qweight = new byte[file.getInt()];
            byte[] scales = new byte[file.getInt()];
            byte[] qzeros = new byte[file.getInt()];
            byte[] expected = new byte[file.getInt()];
            file.get(qweight).get(scales).get(qzeros).get(expected);
            assertThat(file.hasRemaining()).isFalse();
            return new Golden(groupSize, in, out, qweight, scales, qzeros, expected);
        }
    }
}
