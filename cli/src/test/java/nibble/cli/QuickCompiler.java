package nibble.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Chooses the compiler of short runs of small models. */
final class QuickCompiler {
    private static final String FIRST_ALONE = "-XX:TieredStopAtLevel=1";

    /**
     * The first compiler alone, where products run in native code: the second takes longer than the code that it makes
     * faster. Without AMX products of many rows run by the Vector API, which is slow without the second.
     */
    static final String OPTION = hasAmx() ? FIRST_ALONE : "-XX:+TieredCompilation";

    private QuickCompiler() {}

    /** Returns the option of a command: one that takes no products of many rows has no use of the second compiler. */
    static String option(List<String> arguments) {
        boolean multiplies = arguments.contains("quantize") && !arguments.contains("rtn")
                || arguments.contains("eval")
                || arguments.contains("generate");
        return multiplies ? OPTION : FIRST_ALONE;
    }

    private static boolean hasAmx() {
        Path processors = Path.of("/proc/cpuinfo");
        try {
            return Files.isReadable(processors) && Files.readString(processors).contains(" amx_tile");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
