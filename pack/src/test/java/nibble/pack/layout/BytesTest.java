package nibble.pack.layout;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import nibble.checkpoint.gguf.BlockDecoder;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.pack.CodePositions;
import nibble.pack.Half;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Rounding;
import nibble.pack.Words;
import org.junit.jupiter.api.Test;

/**
 * 8-bit codes. {@code packed_bytes.txt} holds the words that compressed-tensors 0.20 and GPTQModel 7.7 make of the
 * codes and zeros below; GPTQModel keeps zeros as they are in memory, as the second version of its layout has them.
 */
class BytesTest {
    private static final int OUT = 32;
    private static final int IN = 64;
    private static final int GROUPS = 2;
    private static final QuantizationSpec SPEC = new QuantizationSpec(8, 32);
    private static final QuantizationSpec SYMMETRIC = new QuantizationSpec(8, 32, true);

    private static QuantizedLinear linear() {
        QuantizedLinear linear = QuantizedLinear.blank(OUT, IN, SPEC);
        for (int i = 0; i < OUT * IN; i++) {
            linear.codes()[i] = (byte) (i * 37 + i / 7 * 11);
        }
        for (int i = 0; i < OUT * GROUPS; i++) {
            linear.zeros()[i] = (byte) (1 + i * 53 % 255);
            linear.scales()[i] = Float.floatToFloat16((float) Math.scalb(1, -6 + i % 4));
        }
        return linear;
    }

    private static QuantizedLinear symmetric() {
        QuantizedLinear linear = linear();
        Arrays.fill(linear.zeros(), (byte) 128);
        return linear;
    }

    private static Map<String, int[]> golden() throws IOException {
        try (var stream = BytesTest.class.getResourceAsStream("/packed_bytes.txt")) {
            assertThat(stream).isNotNull();
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8)
                    .lines()
                    .map(line -> line.split(" "))
                    .collect(Collectors.toMap(
                            words -> words[0],
                            words -> Arrays.stream(words)
                                    .skip(1)
                                    .mapToInt(Integer::parseInt)
                                    .toArray()));
        }
    }

    private static int[] words(MemorySegment data) {
        int[] words = new int[(int) data.byteSize() / 4];
        MemorySegment.copy(data, Words.INT, 0, words, 0, words.length);
        return words;
    }

    @Test
    void compressed_tensors_has_the_words_that_its_own_package_makes() throws IOException {
        List<PackedTensor> packed =
                Layout.of(QuantizedFormat.COMPRESSED_TENSORS).pack("m", linear(), false);

        assertThat(words(packed.get(0).data())).isEqualTo(golden().get("weight_packed"));
        assertThat(packed.get(2).name()).isEqualTo("m.weight_zero_point");
        assertThat(words(packed.get(2).data())).isEqualTo(golden().get("weight_zero_point"));
    }

    @Test
    void gptq_has_the_words_that_gptqmodel_makes() throws IOException {
        MemorySegment[] packed = GptqLayout.pack(linear(), false);

        assertThat(words(packed[0])).isEqualTo(golden().get("qweight"));
        assertThat(words(packed[1])).isEqualTo(golden().get("qzeros"));
    }

    @Test
    void what_is_packed_is_read_again_whole_and_where_it_lies() {
        for (boolean lessOne : new boolean[] {false, true}) {
            QuantizedLinear linear = linear();
            MemorySegment[] packed = GptqLayout.pack(linear, lessOne);
            StoredCodes stored = new StoredCodes("m", OUT, IN, SPEC, false, packed[0], packed[1], packed[2], lessOne);

            assertSame(linear, stored);
        }
        QuantizedLinear linear = linear();
        List<PackedTensor> packed =
                Layout.of(QuantizedFormat.COMPRESSED_TENSORS).pack("m", linear, false);
        assertSame(
                linear,
                new StoredCodes(
                        "m",
                        OUT,
                        IN,
                        SPEC,
                        true,
                        packed.get(0).data(),
                        packed.get(2).data(),
                        packed.get(1).data(),
                        false));
    }

    private static void assertSame(QuantizedLinear linear, StoredCodes stored) {
        QuantizedLinear read = stored.unpack();
        assertThat(read.codes()).isEqualTo(linear.codes());
        assertThat(read.zeros()).isEqualTo(linear.zeros());
        assertThat(read.scales()).isEqualTo(linear.scales());
        for (int row = 0; row < OUT; row++) {
            for (int column = 0; column < IN; column++) {
                int word = stored.word(row, column / 4);
                assertThat(word >>> 8 * (column % 4) & 255).isEqualTo(linear.code(row, column));
            }
            assertThat(stored.zero(row, 1)).isEqualTo(linear.zero(row * GROUPS + 1));
        }
    }

    @Test
    void a_symmetric_file_has_no_zeros_and_its_zero_is_128() {
        List<PackedTensor> packed =
                Layout.of(QuantizedFormat.COMPRESSED_TENSORS).pack("m", symmetric(), true);

        assertThat(packed).extracting(PackedTensor::name).doesNotContain("m.weight_zero_point");
        assertThat(GptqLayout.pack(symmetric(), true)[1].get(Words.INT, 0)).isEqualTo(0x7f7f7f7f);
        assertThatThrownBy(() -> Layout.of(QuantizedFormat.COMPRESSED_TENSORS).pack("m", linear(), true))
                .hasMessageContaining("128");
    }

    @Test
    void awq_says_that_it_holds_4_bits_and_what_holds_8() {
        assertThatThrownBy(() -> Layout.of(QuantizedFormat.AWQ_GEMM).tensors("m", OUT, IN, SPEC))
                .hasMessageContaining("8 bits")
                .hasMessageContaining("compressed-tensors");
    }

    @Test
    void a_weight_is_code_less_zero_times_scale() {
        QuantizedLinear linear = linear();
        float[] weights = linear.dequantize();
        for (int i = 0; i < weights.length; i++) {
            int cell = i / IN * GROUPS + i % IN / 32;
            float scale = Float.float16ToFloat(linear.scales()[cell]);
            int code = (i * 37 + i / 7 * 11) % 256;
            assertThat(weights[i]).isEqualTo(Half.round((code - (1 + cell * 53 % 255)) * scale));
        }
        assertThat(CodePositions.round(CodePositions.of(linear), 1)).isEqualTo(linear.codes());
    }

    /** The largest weight takes half of the 255 steps, and no weight is off by more than half of a step. */
    @Test
    void rounding_takes_255_steps_from_minus_the_largest_to_the_largest() {
        float[] weights = new float[IN];
        for (int i = 0; i < IN; i++) {
            weights[i] = (float) Math.sin(i);
        }
        weights[3] = -2f;
        QuantizedLinear linear =
                Rounding.round(java.nio.file.Path.of("m"), "m", Arrays.copyOf(weights, 8 * IN), 8, IN, SYMMETRIC, null);

        assertThat(linear.zeros()).containsOnly((byte) 128);
        assertThat(Float.float16ToFloat(linear.scales()[0])).isEqualTo(Half.round(2f / 127.5f));
        assertThat(linear.code(0, 3)).isZero();
        float[] read = linear.dequantize();
        for (int i = 0; i < 32; i++) {
            assertThat(Math.abs(read[i] - weights[i])).isLessThan(0.51f * 2 / 127.5f);
        }
    }

    @Test
    void blocks_of_q8_0_hold_the_same_numbers() {
        QuantizedLinear linear = symmetric();
        assertThat(ByteBlocks.holds(linear)).isTrue();
        assertThat(ByteBlocks.holds(linear())).isFalse();

        GgufBlocks blocks = ByteBlocks.of(linear);

        float[] read = new float[OUT * IN];
        BlockDecoder.decode(blocks.type(), blocks.data(), MemorySegment.ofArray(read));
        for (int i = 0; i < read.length; i++) {
            assertThat(Half.round(read[i])).isEqualTo(linear.dequantize()[i]);
        }
        assertThat(ByteBuffer.wrap(blocks.data().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE))
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .getShort())
                .isEqualTo(linear.scales()[0]);
    }
}
