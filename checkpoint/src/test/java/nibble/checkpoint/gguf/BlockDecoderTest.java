package nibble.checkpoint.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

class BlockDecoderTest {
    /** 65,536 weights of published models in each of six types, with another reader's values as bfloat16. */
    @Test
    void blocks_of_published_models_decode_to_the_bit() throws IOException {
        Path folder = Path.of(System.getProperty("nibble.root", ".."))
                .toAbsolutePath()
                .normalize()
                .getParent()
                .resolve("shared/data/golden/gguf");
        Assumptions.assumeTrue(Files.isDirectory(folder), () -> folder + " is absent");
        List<Path> files;
        try (Stream<Path> found = Files.list(folder)) {
            files = found.sorted().toList();
        }
        assertThat(files).hasSize(6);
        for (Path path : files) {
            ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(path)).order(ByteOrder.LITTLE_ENDIAN);
            GgufType type = GgufType.of(file.getInt()).orElseThrow();
            int n = file.getInt();
            byte[] raw = new byte[file.getInt()];
            byte[] golden = new byte[file.getInt()];
            file.get(raw).get(golden);
            assertThat(file.hasRemaining()).isFalse();
            assertThat(type.bytes(n)).isEqualTo(raw.length);
            ByteBuffer expected = ByteBuffer.wrap(golden).order(ByteOrder.LITTLE_ENDIAN);
            float[] found = decode(type, raw, n);
            for (int i = 0; i < n; i++) {
                assertThat(brain(found[i]))
                        .as("%s element %d", path.getFileName(), i)
                        .isEqualTo(expected.getShort(2 * i));
            }
        }
    }

    /** Random blocks with the values of the gguf package; scripts/gguf_blocks.py made them. */
    @Test
    void every_type_decodes_as_the_gguf_package_does() throws IOException {
        Set<GgufType> seen = EnumSet.of(GgufType.F32, GgufType.F16, GgufType.BF16);
        try (var stream = BlockDecoderTest.class.getResourceAsStream("/gguf_blocks.bin")) {
            assertThat(stream).isNotNull();
            ByteBuffer file = ByteBuffer.wrap(stream.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
            while (file.hasRemaining()) {
                GgufType type = GgufType.of(file.getInt()).orElseThrow();
                seen.add(type);
                byte[] raw = new byte[file.getInt()];
                int n = file.getInt();
                file.get(raw);
                float[] found = decode(type, raw, n);
                for (int i = 0; i < n; i++) {
                    float expected = file.getFloat();
                    // Equal as numbers: numpy's order of signs makes some zeros negative that ggml's does not.
                    assertThat(found[i] == expected)
                            .as("%s element %d: %s, %s", type, i, found[i], expected)
                            .isTrue();
                }
            }
        }
        assertThat(seen).containsExactlyInAnyOrderElementsOf(GgufType.allRead());
    }

    private static float[] decode(GgufType type, byte[] raw, int n) {
        float[] values = new float[n];
        ByteBuffer decoded = ByteBuffer.allocate(4 * n).order(ByteOrder.LITTLE_ENDIAN);
        BlockDecoder.decode(type, MemorySegment.ofArray(raw), MemorySegment.ofBuffer(decoded));
        decoded.asFloatBuffer().get(values);
        return values;
    }

    private static short brain(float value) {
        int bits = Float.floatToRawIntBits(value);
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }
}
