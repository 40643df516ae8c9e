package nibble.checkpoint.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.stream.Stream;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class SafetensorsFileTest {
    @TempDir
    Path folder;

    private final Arena arena = Arena.ofShared();

    @AfterEach
    void unmap() {
        arena.close();
    }

    @Test
    void tensors_come_in_the_order_of_their_data_whatever_the_order_of_the_header() throws IOException {
        String header = "{" + RawSafetensors.entry("b", "F16", "[2, 1]", 4, 8) + ","
                + RawSafetensors.entry("a", "I32", "[]", 0, 4) + ",\"__metadata__\":{\"format\":\"pt\"}}    ";
        SafetensorsFile file = open(header, new byte[] {1, 2, 3, 4, 5, 6, 7, 8});

        assertThat(file.names()).containsExactly("a", "b");
        assertThat(file.metadata()).containsExactly(java.util.Map.entry("format", "pt"));
        assertThat(file.tensor("a").spec()).isEqualTo(new TensorSpec("a", DType.I32, Shape.of()));
        assertThat(file.tensor("b").shape()).isEqualTo(Shape.of(2, 1));
        assertThat(file.tensor("b").data().toArray(ValueLayout.JAVA_BYTE)).containsExactly(5, 6, 7, 8);
        assertThat(file.find("c")).isEmpty();
        assertThatThrownBy(() -> file.tensor("c"))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("tensor c");
    }

    @ParameterizedTest
    @EnumSource(DType.class)
    void every_element_type_is_read(DType type) throws IOException {
        byte[] data = new byte[(int) type.bytes(4)];
        SafetensorsFile file = open("{" + RawSafetensors.entry("t", type.name(), "[4]", 0, data.length) + "}", data);

        assertThat(file.tensor("t").dtype()).isEqualTo(type);
    }

    @Test
    void tensors_without_elements_and_files_without_tensors_are_fine() throws IOException {
        String header = "{" + RawSafetensors.entry("a", "F32", "[0, 7]", 0, 0) + ","
                + RawSafetensors.entry("b", "U8", "[1]", 0, 1) + "," + RawSafetensors.entry("c", "U8", "[0]", 1, 1)
                + "}";
        assertThat(open(header, new byte[1]).names()).containsExactly("a", "b", "c");
        assertThat(open("{}", new byte[0]).names()).isEmpty();
    }

    @Test
    void data_beyond_two_gibibytes_is_read() throws IOException {
        long first = 5L << 29;
        String header = "{" + RawSafetensors.entry("large", "U8", "[" + first + "]", 0, first) + ","
                + RawSafetensors.entry("last", "F16", "[2]", first, first + 4) + "}";
        Path path = folder.resolve("sparse.safetensors");
        RawSafetensors.write(path, header, new byte[0]);
        long end = Files.size(path) + first;
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
            // A hole before, so that the file takes a few blocks only.
            channel.write(ByteBuffer.wrap(new byte[] {9}), end - 1);
            channel.write(ByteBuffer.wrap(new byte[] {1, 2, 3, 4}), end);
        }

        SafetensorsFile file = SafetensorsFile.open(path, arena);

        assertThat(file.tensor("last").data().toArray(ValueLayout.JAVA_BYTE)).containsExactly(1, 2, 3, 4);
        assertThat(file.tensor("large").data().get(ValueLayout.JAVA_BYTE, first - 1))
                .isEqualTo((byte) 9);
    }

    static Stream<Arguments> brokenHeaders() {
        String good = RawSafetensors.entry("t", "F16", "[2]", 0, 4);
        return Stream.of(
                Arguments.of("not JSON", "{\"t\":", "no valid safetensors header"),
                Arguments.of("not an object", "[1]", "does not start with"),
                Arguments.of("empty", "", "does not start with"),
                Arguments.of("text after the object", "{" + good + "} {}", "continues after"),
                Arguments.of("duplicate tensor", "{" + good + "," + good + "}", "key 't' comes twice"),
                Arguments.of(
                        "duplicate key", "{\"t\":{\"dtype\":\"F16\",\"dtype\":\"F16\"}}", "key 'dtype' comes twice"),
                Arguments.of("tensor is a list", "{\"t\":[]}", "tensor t: found a list, expected an object"),
                Arguments.of("tensor is null", "{\"t\":null}", "found null"),
                Arguments.of("unknown key", "{\"t\":{\"strides\":[1]}}", "key \"strides\""),
                Arguments.of("no dtype", "{\"t\":{\"shape\":[2],\"data_offsets\":[0,4]}}", "has no dtype"),
                Arguments.of("no shape", "{\"t\":{\"dtype\":\"F16\",\"data_offsets\":[0,4]}}", "has no shape"),
                Arguments.of("no offsets", "{\"t\":{\"dtype\":\"F16\",\"shape\":[2]}}", "has no data_offsets"),
                Arguments.of("dtype is a number", "{\"t\":{\"dtype\":16}}", "expected a string"),
                Arguments.of(
                        "dtype unknown", "{" + RawSafetensors.entry("t", "Q4", "[2]", 0, 4) + "}", "\"Q4\" is unknown"),
                Arguments.of(
                        "unknown dtype",
                        "{" + RawSafetensors.entry("t", "F9_E4M4", "[4]", 0, 4) + "}",
                        "F9_E4M4",
                        "unknown"),
                Arguments.of("negative extent", "{" + RawSafetensors.entry("t", "F16", "[-2]", 0, 4) + "}", "found -2"),
                Arguments.of(
                        "fraction", "{" + RawSafetensors.entry("t", "F16", "[2.0]", 0, 4) + "}", "found a fraction"),
                Arguments.of("nested", "{" + RawSafetensors.entry("t", "F16", "[[2]]", 0, 4) + "}", "found a list"),
                Arguments.of(
                        "deep", "{" + RawSafetensors.entry("t", "F16", "[".repeat(99_999), 0, 4) + "}", "found a list"),
                Arguments.of(
                        "shape is a string",
                        "{" + RawSafetensors.entry("t", "F16", "\"2\"", 0, 4) + "}",
                        "found a string"),
                Arguments.of(
                        "huge number",
                        "{" + RawSafetensors.entry("t", "F16", "[99999999999999999999]", 0, 4) + "}",
                        "2^63"),
                Arguments.of(
                        "long number",
                        "{" + RawSafetensors.entry("t", "F16", "[" + "9".repeat(9999) + "]", 0, 4) + "}",
                        "header"),
                Arguments.of(
                        "rank",
                        "{" + RawSafetensors.entry("t", "F16", "[1" + ",1".repeat(40) + "]", 0, 2) + "}",
                        "more than 32"),
                Arguments.of(
                        "overflow",
                        "{" + RawSafetensors.entry("t", "F16", "[4294967296,4294967296]", 0, 4) + "}",
                        "2^63"),
                Arguments.of(
                        "overflow of bytes",
                        "{" + RawSafetensors.entry("t", "F64", "[2305843009213693952]", 0, 0) + "}",
                        "2^63"),
                Arguments.of(
                        "shape against offsets",
                        "{" + RawSafetensors.entry("t", "F16", "[3]", 0, 4) + "}",
                        "takes 6 bytes"),
                Arguments.of("begin after end", "{" + RawSafetensors.entry("t", "F16", "[2]", 4, 0) + "}", "after end"),
                Arguments.of(
                        "three offsets",
                        "{\"t\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4,4]}}",
                        "3 data_offsets"),
                Arguments.of("does not start at 0", "{" + RawSafetensors.entry("t", "F16", "[1]", 2, 4) + "}", "hole"),
                Arguments.of(
                        "overlap", "{" + good + "," + RawSafetensors.entry("u", "F16", "[1]", 2, 4) + "}", "overlaps"),
                Arguments.of("beyond the end", "{" + RawSafetensors.entry("t", "F16", "[4]", 0, 8) + "}", "cut short"),
                Arguments.of(
                        "far beyond the end",
                        "{" + RawSafetensors.entry("t", "U8", "[9223372036854775800]", 0, 9223372036854775800L) + "}",
                        "cut short"),
                Arguments.of(
                        "bytes left over",
                        "{" + RawSafetensors.entry("t", "F16", "[1]", 0, 2) + "}",
                        "belong to no tensor"),
                Arguments.of("metadata is a list", "{\"__metadata__\":[]," + good + "}", "object of strings"),
                Arguments.of("metadata holds a number", "{\"__metadata__\":{\"format\":1}," + good + "}", "key format"),
                Arguments.of("metadata is nested", "{\"__metadata__\":{\"a\":{}}," + good + "}", "key a"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("brokenHeaders")
    void broken_headers_are_refused_with_file_and_reason(String name, String header, String expected) {
        assertThatThrownBy(() -> open(header, new byte[4]))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("f.safetensors: ")
                .hasMessageContaining(expected);
    }

    @Test
    void header_lengths_that_do_not_fit_are_refused() throws IOException {
        byte[] header = "{}".getBytes(StandardCharsets.UTF_8);
        for (long length : new long[] {3, 100_000_000, 100_000_001, Long.MAX_VALUE, -1, Long.MIN_VALUE}) {
            Path file = RawSafetensors.write(folder.resolve("f.safetensors"), length, header, new byte[0]);
            assertThatThrownBy(() -> SafetensorsFile.open(file, arena))
                    .isInstanceOf(BadCheckpointException.class)
                    .hasMessageContaining("byte 0: header length " + Long.toUnsignedString(length));
        }
    }

    @Test
    void invalid_utf8_is_refused_with_its_byte() throws IOException {
        byte[] header = {'{', '"', (byte) 0xff, '"', '}'};
        Path file = RawSafetensors.write(folder.resolve("f.safetensors"), header.length, header, new byte[0]);
        assertThatThrownBy(() -> SafetensorsFile.open(file, arena))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("byte 10: found invalid UTF-8");
    }

    @Test
    void every_truncation_of_a_file_is_refused() throws IOException {
        Path whole = RawSafetensors.write(
                folder.resolve("whole"), "{" + RawSafetensors.entry("t", "F16", "[2]", 0, 4) + "}", new byte[4]);
        byte[] bytes = Files.readAllBytes(whole);
        for (int length = 0; length < bytes.length; length++) {
            Path cut = Files.write(folder.resolve("cut"), java.util.Arrays.copyOf(bytes, length));
            assertThatThrownBy(() -> SafetensorsFile.open(cut, arena)).isInstanceOf(BadCheckpointException.class);
        }
    }

    @Test
    void any_changed_byte_of_a_header_gives_a_file_or_a_clear_refusal() throws IOException {
        Path whole = RawSafetensors.write(
                folder.resolve("whole"), "{" + RawSafetensors.entry("t", "F16", "[2]", 0, 4) + "}", new byte[4]);
        byte[] bytes = Files.readAllBytes(whole);
        java.util.Random random = new java.util.Random(1);
        for (int i = 0; i < 2000; i++) {
            byte[] changed = bytes.clone();
            changed[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
            Path file = Files.write(folder.resolve("changed"), changed);
            try {
                SafetensorsFile.open(file, arena);
            } catch (BadCheckpointException expected) {
                assertThat(expected).hasMessageContaining("changed: ");
            }
        }
    }

    @Test
    void absent_files_and_folders_are_refused() {
        assertThatThrownBy(() -> SafetensorsFile.open(folder.resolve("none"), arena))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("no such file");
        assertThatThrownBy(() -> SafetensorsFile.open(folder, arena))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("is a folder");
    }

    private SafetensorsFile open(String header, byte[] data) throws IOException {
        return SafetensorsFile.open(RawSafetensors.write(folder.resolve("f.safetensors"), header, data), arena);
    }
}
