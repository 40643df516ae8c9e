package nibble.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Chooses the compiler of short runs of tiny models. */
final class QuickCompiler {
    /**
     * The first compiler alone, where products run in native code: the second takes longer than the code that it makes
     * faster. Without AMX products of many rows run by the Vector API, which is slow without the second.
     */
    static final String OPTION = hasAmx() ? "-XX:TieredStopAtLevel=1" : "-XX:+TieredCompilation";

    private QuickCompiler() {}

    private static boolean hasAmx() {
        Path processors = Path.of("/proc/cpuinfo");
        try {
            return Files.isReadable(processors) && Files.readString(processors).contains(" amx_tile");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
