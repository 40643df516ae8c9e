package nibble.convert.blocks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import nibble.checkpoint.source.BadCheckpointException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ImportanceFileTest {
    private static final String Q = "blk.0.attn_q.weight";

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    private Importance importance(float... squares) {
        TreeMap<String, Importance.Entry> entries = new TreeMap<>();
        entries.put(Q, new Importance.Entry(squares, 20));
        entries.put("blk.10.ffn_down.weight", new Importance.Entry(new float[] {0.5f}, 20));
        return new Importance(temp.resolve("i.gguf"), List.of("a text"), 2, 10, entries);
    }

    @Test
    void what_is_written_is_read_and_replaces_what_was_there() {
        Path file = temp.resolve("i.gguf");
        ImportanceFile.write(file, importance(9, 9, 9));
        ImportanceFile.write(file, importance(1, 2, 3.5f));
        Importance found = ImportanceFile.read(file);
        assertThat(found.datasets()).containsExactly("a text");
        assertThat(found.chunks()).isEqualTo(2);
        assertThat(found.chunkTokens()).isEqualTo(10);
        assertThat(found.entries()).containsOnlyKeys(Q, "blk.10.ffn_down.weight");
        assertThat(found.entries().get(Q).squares()).containsExactly(1, 2, 3.5f);
        assertThat(found.entries().get(Q).counts()).containsExactly(20);
        assertThat(temp).isDirectoryNotContaining(path -> path.toString().endsWith(".partial"));
    }

    @Test
    void experts_of_a_stacked_tensor_have_rows_of_their_own() {
        String name = "blk.0.ffn_up_exps.weight";
        TreeMap<String, Importance.Entry> entries = new TreeMap<>();
        entries.put(name, new Importance.Entry(new float[] {1, 3, 0, 0, 2, 2}, 7, 0, 4));
        Path file = temp.resolve("experts.gguf");
        ImportanceFile.write(file, new Importance(file, List.of("a text"), 2, 10, entries));
        Importance found = ImportanceFile.read(file);
        assertThat(found.entries().get(name).counts()).containsExactly(7, 0, 4);
        assertThat(found.columns(name, 0, 3, 2)).containsExactly(0.5f, 1.5f);
        assertThat(found.columns(name, 1, 3, 2)).containsExactly(1, 1);
        assertThat(found.columns(name, 2, 3, 2)).containsExactly(1, 1);
        assertThatThrownBy(() -> found.columns(name, 0, 4, 2))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("6 input features, the model has 4 times 2");
    }

    @Test
    void a_dat_file_of_llama_cpp_is_read() throws IOException {
        Importance found = ImportanceFile.read(Files.write(temp.resolve("i.dat"), dat()));
        assertThat(found.entries().get(Q).squares()).containsExactly(1, 2, 3);
        assertThat(found.datasets()).containsExactly("wiki.txt");
        assertThat(found.chunks()).isEqualTo(7);
    }

    private static byte[] dat() {
        ByteBuffer out = ByteBuffer.allocate(200).order(ByteOrder.LITTLE_ENDIAN);
        out.putInt(1)
                .putInt(Q.length())
                .put(Q.getBytes(StandardCharsets.US_ASCII))
                .putInt(4)
                .putInt(3);
        out.putFloat(1).putFloat(2).putFloat(3).putInt(7).putInt(8).put("wiki.txt".getBytes(StandardCharsets.US_ASCII));
        return java.util.Arrays.copyOf(out.array(), out.position());
    }

    @Test
    void columns_have_mean_1_and_none_counts_for_nothing() {
        float[] columns = importance(0, 0, 3).columns(Q, 3);
        assertThat(columns).containsExactly(1e-4f, 1e-4f, 3);
        assertThat(importance(0, 0, 0).columns(Q, 3)).containsExactly(1, 1, 1);
        assertThatThrownBy(() -> importance(1, 2, 3).columns(Q, 4))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining(Q)
                .hasMessageContaining("3 input features, the model has 4");
        assertThatThrownBy(() -> importance(1).columns("blk.1.attn_q.weight", 1))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("blk.1.attn_q.weight");
    }

    @Test
    void numbers_that_cannot_be_and_other_files_are_refused() throws IOException {
        for (float bad : new float[] {-1, Float.NaN, Float.POSITIVE_INFINITY}) {
            ImportanceFile.write(temp.resolve("bad.gguf"), importance(1, bad));
            assertThatThrownBy(() -> ImportanceFile.read(temp.resolve("bad.gguf")))
                    .isInstanceOf(BadCheckpointException.class)
                    .hasMessageContaining("feature 1");
        }
        Path text = Files.writeString(temp.resolve("text"), "Not an importance matrix at all.");
        assertThatThrownBy(() -> ImportanceFile.read(text)).isInstanceOf(BadCheckpointException.class);
        assertThatThrownBy(() -> ImportanceFile.read(temp.resolve("absent")))
                .isInstanceOf(BadCheckpointException.class);
    }

    @Test
    void damaged_files_are_refused_or_read_and_never_fail_otherwise() throws IOException {
        ImportanceFile.write(temp.resolve("whole"), importance(1, 2, 3));
        byte[][] originals = {dat(), Files.readAllBytes(temp.resolve("whole"))};
        for (int seed = 0; seed < 400; seed++) {
            Random random = new Random(seed);
            byte[] bytes = originals[seed % 2].clone();
            for (int i = 0; i < 1 + random.nextInt(4); i++) {
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
            }
            int length = random.nextInt(4) == 0 ? random.nextInt(bytes.length) : bytes.length;
            Path file = Files.write(temp.resolve("damaged"), java.util.Arrays.copyOf(bytes, length));
            assertThatCode(() -> {
                        try {
                            ImportanceFile.read(file);
                        } catch (BadCheckpointException e) {
                            assertThat(e).hasMessageContaining("damaged");
                        }
                    })
                    .as("seed %d", seed)
                    .doesNotThrowAnyException();
        }
    }
}
