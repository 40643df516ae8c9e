package nibble.engine.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Memory of this process as Linux counts it in {@code /proc/self/status}.
 *
 * @param resident bytes in memory, pages of mapped files included; null on other systems
 * @param own bytes in memory that are no pages of files; null likewise
 */
record ProcessMemory(@Nullable Long resident, @Nullable Long own) {
    static ProcessMemory now() {
        Long resident = null;
        Long own = null;
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("VmRSS:")) {
                    resident = bytes(line);
                } else if (line.startsWith("RssAnon:")) {
                    own = bytes(line);
                }
            }
        } catch (IOException e) {
            return new ProcessMemory(null, null);
        }
        return new ProcessMemory(resident, own);
    }

    /** Of a line such as {@code VmRSS:   265432 kB}. */
    private static long bytes(String line) {
        return 1024 * Long.parseLong(line.replaceAll("[^0-9]", ""));
    }
}
