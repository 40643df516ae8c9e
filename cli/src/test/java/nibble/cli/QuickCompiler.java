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
    private static final String MULTIPLYING =
            hasAmx() ? FIRST_ALONE : System.getProperty("nibble.test.compiler", "-XX:+TieredCompilation");

    private QuickCompiler() {}

    /**
     * Returns the options of a command, or of all commands of a line: those that take no products of many rows have no
     * use of the second compiler.
     */
    static List<String> options(String command) {
        boolean multiplies = command.contains("quantize ") && !command.contains("rtn")
                || command.contains("--calibration ")
                || command.contains("eval ");
        multiplies &= !command.contains("--device reference");
        return List.of((multiplies ? MULTIPLYING : FIRST_ALONE).split(" "));
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
