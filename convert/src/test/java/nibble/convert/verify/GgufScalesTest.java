package nibble.convert.verify;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.source.Finding;
import nibble.convert.gguf.GgufMix;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Scales of blocks that are no numbers are found in every type of GGUF, and those that are numbers are right. */
class GgufScalesTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    /** llama.cpp's own Q4_0 has a negative scale wherever the largest weight of a block is positive. */
    @Test
    void a_negative_scale_is_right() throws IOException {
        Path path = GgufBytes.export(temp.resolve("out"), GgufMix.Q4_0, Long.MAX_VALUE)
                .resolve("wiki-7m-Q4_0.gguf");
        GgufBytes file = GgufBytes.read(path);
        for (int block = 0; block < 8; block++) {
            int at = file.data("blk.4.attn_v.weight") + 18 * block;
            file.bytes().putShort(at, (short) (file.bytes().getShort(at) | 0x8000));
        }
        file.write();
        assertThat(GgufBytes.verify(path).errors()).isZero();
    }

    /**
     * Types that are not computed with here, of which llama.cpp checks the scales all the same: the type's number,
     * elements and bytes of a block, where its scale lies and one that is no number.
     */
    @ParameterizedTest
    @CsvSource({
        "IQ2_XXS, 16, 256, 66, 0, 007e",
        "IQ2_XS, 17, 256, 74, 0, 007c",
        "IQ3_XXS, 18, 256, 98, 0, 00fc",
        "IQ1_S, 19, 256, 50, 0, 007e",
        "IQ3_S, 21, 256, 110, 0, 007e",
        "IQ2_S, 22, 256, 82, 0, 007e",
        "IQ1_M, 29, 256, 56, 48, 00000000 00c00070",
        "TQ1_0, 34, 256, 54, 52, 007e",
        "TQ2_0, 35, 256, 66, 64, 007e",
        "Q1_0, 41, 128, 18, 0, 007e",
        "Q2_0, 42, 64, 18, 0, 007e",
        "Q8_K, 15, 256, 292, 0, 0000c07f",
        "F64, 28, 1, 8, 0, 000000000000f07f"
    })
    void a_scale_that_is_no_number_is_found_in_types_that_are_only_listed(
            String name, int type, int elements, int bytes, int place, String scale) throws IOException {
        assertThat(findings(name, type, elements, bytes, place, scale))
                .hasSize(2)
                .allSatisfy(findings -> assertThat(findings)
                        .anySatisfy(finding -> assertThat(finding.message())
                                .contains("architecture \"llama\" with experts", "is not yet supported")));
    }

    @Test
    void an_exponent_that_is_no_number_is_found_in_mxfp4() throws IOException {
        assertThat(findings("MXFP4", 39, 32, 17, 0, "ff")).hasSize(2);
    }

    /** What is found in a sound file, and in one with a scale that is no number, which is found and nothing else. */
    private List<List<Finding>> findings(String name, int type, int elements, int bytes, int place, String scale)
            throws IOException {
        List<List<Finding>> all = new ArrayList<>();
        byte[] no = HexFormat.of().parseHex(scale.replace(" ", ""));
        for (boolean planted : new boolean[] {false, true}) {
            byte[] blocks = new byte[2 * bytes];
            if (planted) {
                System.arraycopy(no, 0, blocks, bytes + place, no.length);
            }
            Path path = experts(type, 2 * elements, blocks);
            List<Finding> findings = verifyAlone(path).findings();
            assertThat(findings)
                    .as(name)
                    .filteredOn(finding -> finding.severity() == Finding.Severity.ERROR
                            && List.of("scales", "numbers").contains(finding.check()))
                    .hasSize(planted ? 1 : 0)
                    .allSatisfy(finding -> assertThat(finding.message())
                            .contains("tensor blk.0.ffn_gate_exps.weight " + (elements == 1 ? "element" : "block")
                                    + " 1 "));
            all.add(findings);
        }
        return all;
    }

    /** A file of a mixture of experts, as far as checks that do not know its architecture go. */
    private Path experts(int type, long elements, byte[] data) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes("GGUF".getBytes(StandardCharsets.UTF_8));
        out.writeBytes(little(12).putInt(3).putLong(1).array());
        out.writeBytes(little(8).putLong(3).array());
        out.writeBytes(text("general.architecture"));
        out.writeBytes(little(4).putInt(8).array());
        out.writeBytes(text("llama"));
        out.writeBytes(text("llama.expert_count"));
        out.writeBytes(little(8).putInt(4).putInt(8).array());
        out.writeBytes(text("general.file_type"));
        out.writeBytes(little(8).putInt(4).putInt(19).array());
        out.writeBytes(text("blk.0.ffn_gate_exps.weight"));
        out.writeBytes(
                little(28).putInt(2).putLong(elements).putLong(1).putInt(type).array());
        out.writeBytes(little(8).putLong(0).array());
        out.writeBytes(new byte[-out.size() & 31]);
        out.writeBytes(data);
        return Files.write(temp.resolve("experts.gguf"), out.toByteArray());
    }

    private static ByteBuffer little(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static byte[] text(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return little(8 + bytes.length).putLong(bytes.length).put(bytes).array();
    }

    private static CheckpointVerification verifyAlone(Path path) {
        return CheckpointVerification.of(path, Optional.empty(), 1, bytes -> {});
    }
}
