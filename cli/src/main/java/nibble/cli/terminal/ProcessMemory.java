package nibble.cli.terminal;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** Reads the memory of this process as the system counts it. */
public final class ProcessMemory {
    private static final Path STATUS = Path.of("/proc/self/status");

    private ProcessMemory() {}

    /**
     * Gives the system back what the heap needed only while a model and its tokenizer were loaded. The passes over the
     * weights bring their pages into memory afterwards, so that the largest size of the process becomes smaller.
     */
    public static void releaseAfterLoading() {
        System.gc();
    }

    /**
     * Returns the most bytes that were in memory at a time, mapped files included; null where the system does not say
     * (Linux does).
     */
    public static @Nullable Long peakBytes() {
        if (!Files.isReadable(STATUS)) {
            return null;
        }
        try {
            for (String line : Files.readAllLines(STATUS)) {
                if (line.startsWith("VmHWM:")) {
                    return 1024 * Long.parseLong(line.replaceAll("[^0-9]", ""));
                }
            }
        } catch (IOException e) {
            // As on a system without it.
        }
        return null;
    }
}
