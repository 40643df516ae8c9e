package nibble.convert;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Damaged safetensors headers and indexes: read, or refused as bad checkpoints; never anything else, and never at a price. */
@Timeout(120)
class SafetensorsFuzzTest {
    private static final int ROUNDS = 3000;

    /** What one reading may allocate: some hundred times the file, which is about a kilobyte. */
    private static final long MOST_BYTES = 4 << 20;

    /** What breaks parsers, spliced in whole. */
    private static final List<String> PIECES = List.of(
            "{", "}", "[", "]", ",", ":", "\"", "\\u0000", "\\ud800", "-1", "0", "1e308", "9223372036854775807",
            "18446744073709551616", "null", "true", "1.5", "\"F16\"", "\"shape\":[]", "[4294967296,4294967296]", "[0,0]",
            "\"__metadata__\"", "\"a\":{}", "[[[[[[[[", "{\"a\":{\"a\":{\"a\":", "../", "/etc/passwd", "model.safetensors", "\u00e9", "\t\n");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private interface Reader {
        void read() throws IOException;
    }

    @Test
    void safetensors_headers() throws IOException {
        Path file = RawSafetensors.write(folder.resolve("whole.safetensors"), List.of(
                new TensorSpec("model.embed_tokens.weight", DType.F16, Shape.of(4, 6)),
                new TensorSpec("model.norm.weight", DType.F32, Shape.of(6)),
                new TensorSpec("b", DType.I64, Shape.of())));
        byte[] whole = Files.readAllBytes(file);
        int header = 8 + (whole[0] & 0xff) + ((whole[1] & 0xff) << 8);
        Path damaged = folder.resolve("damaged.safetensors");
        int[] refused = new int[1];
        for (long seed = 0; seed < ROUNDS; seed++) {
            byte[] bytes = mutated(whole, header, new Random(seed));
            Files.write(damaged, bytes);
            within(seed, refused, () -> {
                try (Arena arena = Arena.ofConfined()) {
                    SafetensorsFile opened = SafetensorsFile.open(damaged, arena);
                    for (String name : opened.names()) {
                        // Every tensor lies in the file, or this throws.
                        assertThat(opened.tensor(name).data().byteSize()).isLessThanOrEqualTo(bytes.length);
                    }
                }
            });
        }
        assertThat(refused[0]).as("of " + ROUNDS + " damaged headers").isBetween(ROUNDS / 2, ROUNDS);
    }

    @Test
    void index_json() throws IOException {
        byte[] whole = """
                {"metadata": {"total_size": 4096},
                 "weight_map": {"model.embed_tokens.weight": "model-00001-of-00002.safetensors",
                                "model.norm.weight": "model-00002-of-00002.safetensors"}}
                """.getBytes(StandardCharsets.UTF_8);
        Path damaged = folder.resolve(SafetensorsIndex.FILE_NAME);
        int[] refused = new int[1];
        for (long seed = 0; seed < ROUNDS; seed++) {
            Files.write(damaged, mutated(whole, whole.length, new Random(seed)));
            within(seed, refused, () -> SafetensorsIndex.read(damaged).weightMap().values()
                    // Whatever is accepted stays in the folder.
                    .forEach(name -> assertThat(folder.resolve(name).normalize().getParent()).isEqualTo(folder)));
        }
        assertThat(refused[0]).as("of " + ROUNDS + " damaged indexes").isBetween(ROUNDS / 4, ROUNDS);
    }

    /** One to four changes: a byte, a piece in the place of bytes, a part left out, doubled, or all after a byte cut off. */
    private static byte[] mutated(byte[] whole, int within, Random random) {
        byte[] bytes = whole.clone();
        for (int i = random.nextInt(4); i >= 0; i--) {
            int limit = Math.min(within, bytes.length);
            int at = limit == 0 ? 0 : random.nextInt(limit);
            int length = Math.min(bytes.length - at, random.nextInt(12));
            switch (random.nextInt(6)) {
                case 0, 1 -> {
                    if (at < bytes.length) {
                        bytes[at] = (byte) random.nextInt(256);
                    }
                }
                case 2 -> {
                    byte[] piece = PIECES.get(random.nextInt(PIECES.size())).getBytes(StandardCharsets.UTF_8);
                    bytes = spliced(bytes, at, length, piece);
                }
                case 3 -> bytes = spliced(bytes, at, length, new byte[0]);
                case 4 -> bytes = spliced(bytes, at, 0, java.util.Arrays.copyOfRange(bytes, at, at + length));
                default -> bytes = random.nextInt(4) == 0 ? java.util.Arrays.copyOf(bytes, at) : bytes;
            }
        }
        return bytes;
    }

    private static byte[] spliced(byte[] bytes, int at, int without, byte[] piece) {
        byte[] result = new byte[bytes.length - without + piece.length];
        System.arraycopy(bytes, 0, result, 0, at);
        System.arraycopy(piece, 0, result, at, piece.length);
        System.arraycopy(bytes, at + without, result, at + piece.length, bytes.length - at - without);
        return result;
    }

    private static void within(long seed, int[] refused, Reader reader) {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = threads.getCurrentThreadAllocatedBytes();
        try {
            reader.read();
        } catch (BadCheckpointException e) {
            refused[0]++;
            assertThat(e.getMessage()).as("seed %d", seed).isNotBlank();
        } catch (Exception | Error e) {
            throw new AssertionError("seed " + seed + ": " + e, e);
        }
        long allocated = threads.getCurrentThreadAllocatedBytes() - before;
        // The first readings load classes.
        if (seed > 20 && allocated > MOST_BYTES) {
            throw new AssertionError("seed " + seed + ": " + allocated + " bytes allocated");
        }
    }
}
