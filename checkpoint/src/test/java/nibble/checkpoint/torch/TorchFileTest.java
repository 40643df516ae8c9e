package nibble.checkpoint.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Random;
import java.util.SequencedMap;
import java.util.zip.ZipFile;
import nibble.checkpoint.TorchZip;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TorchFileTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void a_file_of_pytorch_2_reads_to_the_bit() throws IOException {
        JsonNode reference = new ObjectMapper()
                .readTree(golden("algzoo_rnn_small_reference.json").toFile());
        try (Arena arena = Arena.ofConfined()) {
            TorchFile file = TorchFile.open(golden("algzoo_rnn_small.pth"), arena);
            assertThat(file.tensors()).hasSize(reference.get("num_tensors").asInt());
            for (JsonNode expected : reference.get("tensors")) {
                TensorView found = file.tensors().get(expected.get("name").asText());
                assertThat(found.dtype().name()).isEqualTo(expected.get("dtype").asText());
                assertThat(found.shape().toString().replace(" ", ""))
                        .isEqualTo(expected.get("shape").toString());
                assertThat(HexFormat.of().formatHex(found.data().toArray(ValueLayout.JAVA_BYTE)))
                        .isEqualTo(expected.get("data_hex").asText());
            }
        }
    }

    @Test
    void a_training_checkpoint_gives_the_weights_under_model() throws IOException {
        Path path = golden("tiny_llama2_checkpoint.pt");
        try (Arena arena = Arena.ofConfined();
                ZipFile zip = new ZipFile(path.toFile())) {
            SequencedMap<String, TensorView> tensors =
                    TorchFile.open(path, arena).tensors();
            assertThat(tensors.firstEntry().getKey()).isEqualTo("tok_embeddings.weight");
            assertThat(tensors.firstEntry().getValue().shape()).isEqualTo(Shape.of(100, 64));
            assertThat(tensors).hasSize(21);
            int key = 0;
            for (TensorView tensor : tensors.values()) {
                byte[] entry = zip.getInputStream(zip.getEntry("better_tiny_checkpoint/data/" + key++))
                        .readAllBytes();
                assertThat(tensor.data().toArray(ValueLayout.JAVA_BYTE))
                        .as(tensor.name())
                        .isEqualTo(entry);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "cposix\\nsystem\\n(X\\x02\\0\\0\\0idtR., posix.system, byte 2",
        "cos\\nsystem\\n)R., os.system, byte 2",
        "c__builtin__\\neval\\n., __builtin__.eval, byte 2",
        "ctorch\\nload\\n)R., torch.load, byte 2",
        "(S'ls'\\nios\\nsystem\\n., instruction 0x53, byte 3",
        "ccollections\\nOrderedDict\\n)\\x81., instruction 0x81, byte 28",
    })
    void a_pickle_that_asks_for_more_than_tensors_is_refused_by_name_and_byte(String code, String name, String at)
            throws IOException {
        byte[] pickle = latin1("\\x80\\x02" + code);
        Path file = TorchZip.write(folder.resolve("evil.bin"), pickle);
        assertThatThrownBy(() -> open(file))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("evil.bin: data.pkl " + at)
                .hasMessageContaining(name)
                .hasMessageContaining("rejected");
    }

    @Test
    void a_name_given_by_two_texts_is_refused_too() throws IOException {
        byte[] pickle = latin1("\\x80\\x04\\x8c\\x05posix\\x8c\\x06system\\x93)R.");
        Path file = TorchZip.write(folder.resolve("evil.bin"), pickle);
        assertThatThrownBy(() -> open(file)).hasMessageContaining("byte 17").hasMessageContaining("posix.system");
    }

    @Test
    void the_format_before_1_6_and_other_files_are_named() throws IOException {
        Path legacy = Files.write(
                folder.resolve("old.bin"), HexFormat.of().parseHex("80028a0a6cfc9c46f9206aa85019" + "2e80024de9032e"));
        assertThatThrownBy(() -> open(legacy))
                .hasMessageContaining("before version 1.6")
                .hasMessageContaining("safetensors");
        Path text = Files.writeString(folder.resolve("text.bin"), "version https://git-lfs.github.com/spec/v1");
        assertThatThrownBy(() -> open(text)).hasMessageContaining("is a Git LFS pointer");
        assertThatThrownBy(() -> open(folder.resolve("none.bin"))).hasMessageContaining("no such file");
        assertThatThrownBy(() -> open(Files.createFile(folder.resolve("empty.bin"))))
                .hasMessageContaining("the file is empty");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 100, 1000})
    void a_file_cut_short_is_said_to_be(int missing) throws IOException {
        byte[] whole = Files.readAllBytes(TorchZip.write(folder.resolve("whole.bin"), tensors()));
        Path cut = Files.write(folder.resolve("cut.bin"), Arrays.copyOf(whole, whole.length - missing));
        assertThatThrownBy(() -> open(cut))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("cut.bin")
                .hasMessageContaining("cut short");
    }

    @Test
    void data_that_is_missing_too_short_or_not_contiguous_is_refused_by_tensor() throws IOException {
        String start = "\\x80\\x02}X\\x01\\0\\0\\0wctorch._utils\\n"
                + "_rebuild_tensor_v2\\n"
                + "((X\\x07\\0\\0\\0storagectorch\\n"
                + "FloatStorage\\n";
        String end = "\\x89)tRs.";
        Path missing =
                pickle(start + "X\\x01\\0\\0\\0" + "7X\\x03\\0\\0\\0cpuK\\x04tQK\\0K\\x04\\x85K\\x01\\x85" + end);
        assertThatThrownBy(() -> open(missing)).hasMessageContaining("tensor w").hasMessageContaining("data/7");
        Path tooShort =
                pickle(start + "X\\x01\\0\\0\\0" + "0X\\x03\\0\\0\\0cpuK\\x04tQK\\x01K\\x10\\x85K\\x01\\x85" + end);
        assertThatThrownBy(() -> open(tooShort)).hasMessageContaining("byte 68").hasMessageContaining("has 64");
        Path strided = pickle(
                start + "X\\x01\\0\\0\\0" + "0X\\x03\\0\\0\\0cpuK\\x10tQK\\0K\\x04K\\x04\\x86K\\x01K\\x04\\x86" + end);
        assertThatThrownBy(() -> open(strided)).hasMessageContaining("[1, 4]").hasMessageContaining("contiguous");
        Path huge = pickle(start + "X\\x01\\0\\0\\0"
                + "0X\\x03\\0\\0\\0cpuK\\x10tQK\\0\\x8a\\x08\\0\\0\\0\\0\\0\\0\\0\\x40K\\x04\\x86K\\x04K\\x01\\x86"
                + end);
        assertThatThrownBy(() -> open(huge)).hasMessageContaining("tensor w").hasMessageContaining("2^63");
    }

    /** Whatever bytes change, the reader answers with tensors or with its own refusal, and soon. */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 20261124})
    void damaged_pickles_and_zips_are_refused_and_never_break_the_reader(long seed) throws IOException {
        Random random = new Random(seed);
        byte[] pickle = TorchZip.pickle(tensors());
        byte[] zip = Files.readAllBytes(TorchZip.write(folder.resolve("whole.bin"), tensors()));
        for (int round = 0; round < 400; round++) {
            byte[] changed = mutate(round % 2 == 0 ? pickle : zip, random);
            Path file = folder.resolve("fuzz.bin");
            if (round % 2 == 0) {
                TorchZip.write(file, changed);
            } else {
                Files.write(file, changed);
            }
            try {
                open(file);
            } catch (BadCheckpointException e) {
                assertThat(e.getMessage()).contains("fuzz.bin");
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed + ", round " + round, e);
            }
        }
    }

    private static byte[] mutate(byte[] whole, Random random) {
        byte[] changed = whole.clone();
        for (int i = random.nextInt(4); i >= 0; i--) {
            switch (random.nextInt(3)) {
                case 0 -> changed[random.nextInt(changed.length)] = (byte) random.nextInt(256);
                case 1 -> changed[random.nextInt(changed.length)] ^= (byte) (1 << random.nextInt(8));
                default -> {
                    int from = random.nextInt(changed.length);
                    int to = random.nextInt(changed.length);
                    int length = Math.min(random.nextInt(16), changed.length - Math.max(from, to));
                    System.arraycopy(changed, from, changed, to, length);
                }
            }
        }
        return changed;
    }

    private static SequencedMap<TensorSpec, byte[]> tensors() {
        SequencedMap<TensorSpec, byte[]> tensors = new LinkedHashMap<>();
        Random random = new Random(7);
        // The types that have a storage class of their own in PyTorch.
        for (DType dtype : java.util.List.of(
                DType.F64,
                DType.F32,
                DType.F16,
                DType.BF16,
                DType.I64,
                DType.I32,
                DType.I16,
                DType.I8,
                DType.U8,
                DType.BOOL)) {
            TensorSpec spec = new TensorSpec("weight." + dtype, dtype, Shape.of(3, 5));
            byte[] data = new byte[(int) spec.bytes()];
            random.nextBytes(data);
            tensors.put(spec, data);
        }
        return tensors;
    }

    @Test
    void every_element_type_reads_in_place() throws IOException {
        SequencedMap<TensorSpec, byte[]> tensors = tensors();
        try (Arena arena = Arena.ofConfined()) {
            TorchFile file = TorchFile.open(TorchZip.write(folder.resolve("all.bin"), tensors), arena);
            tensors.forEach((spec, data) -> {
                TensorView found = file.tensors().get(spec.name());
                assertThat(found.spec()).isEqualTo(spec);
                assertThat(found.data().toArray(ValueLayout.JAVA_BYTE)).isEqualTo(data);
                assertThat(found.data().isMapped()).isTrue();
            });
        }
    }

    private Path pickle(String code) throws IOException {
        return TorchZip.write(folder.resolve("made.bin"), latin1(code));
    }

    private static void open(Path file) {
        try (Arena arena = Arena.ofConfined()) {
            TorchFile.open(file, arena);
        }
    }

    /** Bytes of a text with the escapes {@code \n}, {@code \0} and {@code \xNN}. */
    private static byte[] latin1(String escaped) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < escaped.length(); i++) {
            if (escaped.charAt(i) != '\\') {
                text.append(escaped.charAt(i));
                continue;
            }
            i++;
            switch (escaped.charAt(i)) {
                case 'n' -> text.append('\n');
                case '0' -> text.append('\0');
                default -> {
                    text.append((char) Integer.parseInt(escaped.substring(i + 1, i + 3), 16));
                    i += 2;
                }
            }
        }
        return text.toString().getBytes(StandardCharsets.ISO_8859_1);
    }

    private static Path golden(String name) {
        Path root = Path.of(System.getProperty("nibble.root", ".."))
                .toAbsolutePath()
                .normalize();
        Path file = root.getParent().resolve("shared/data/golden/torch").resolve(name);
        Assumptions.assumeTrue(Files.exists(file), () -> file + " is absent");
        return file;
    }
}
