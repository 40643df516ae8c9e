package nibble.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Random;
import nibble.checkpoint.source.BadCheckpointException;

/**
 * Damage for files that readers must survive, and what surviving means: a value or the project's own refusal, soon, and
 * small.
 */
public final class Mutations {
    /** A reading that takes longer hangs, whatever else the machine does. */
    private static final long MOST_NANOS = 20_000_000_000L;

    /** What breaks parsers, spliced in whole. */
    private static final List<String> PIECES = List.of(
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\u0000",
            "\\ud800",
            "-1",
            "0",
            "1e308",
            "9223372036854775807",
            "18446744073709551616",
            "null",
            "true",
            "1.5",
            "\"F16\"",
            "\"shape\":[]",
            "[4294967296,4294967296]",
            "[0,0]",
            "\"__metadata__\"",
            "\"a\":{}",
            "[[[[[[[[",
            "{\"a\":{\"a\":{\"a\":",
            "../",
            "/etc/passwd",
            "model.safetensors",
            "\u00e9",
            "\t\n");

    /** What reads a damaged file. */
    public interface Reader {
        void read() throws IOException;
    }

    private Mutations() {}

    /** Rounds of a test: as many as it says, or as the system property nibble.fuzz.rounds says. */
    public static int rounds(int usual) {
        return Integer.getInteger("nibble.fuzz.rounds", usual);
    }

    /**
     * One to four changes: a byte, a piece in the place of bytes, a part left out, doubled, or all after a byte cut
     * off.
     */
    public static byte[] of(byte[] whole, int within, Random random) {
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

    /**
     * Reads, and fails for anything but a value or a refusal.
     *
     * @param mostBytes that may be allocated
     * @param refused counts refusals in its first element
     */
    public static void within(long seed, long mostBytes, int[] refused, Reader reader) {
        long start = System.nanoTime();
        if (allocated(seed, refused, reader) > mostBytes) {
            // It may have been the first to load some classes, which a second reading does not do again.
            long again = allocated(seed, new int[1], reader);
            assertThat(again).as("bytes allocated, seed %d", seed).isLessThanOrEqualTo(mostBytes);
        }
        assertThat(System.nanoTime() - start).as("seed %d", seed).isLessThan(MOST_NANOS);
    }

    private static long allocated(long seed, int[] refused, Reader reader) {
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
        return threads.getCurrentThreadAllocatedBytes() - before;
    }
}
