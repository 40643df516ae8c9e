package nibble.project;

import com.palantir.javaformat.java.Main;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Runs the formatter's command for one file after the other: for all at once it keeps what it made of each. */
final class Formatting {
    private static final int COLUMNS = 120;

    private Formatting() {}

    /**
     * Prints the files that the formatter would change, or changes them.
     *
     * @param arguments {@code check} or {@code write}, and a file with a path in each line
     */
    public static void main(String[] arguments) throws Exception {
        boolean write = arguments[0].equals("write");
        int code = 0;
        for (String file : Files.readAllLines(Path.of(arguments[1]))) {
            if (write) {
                code |= format(System.out, System.err, "--replace", file);
            } else if (hasTextToWrap(Path.of(file)) || changesWithoutWrapping(file)) {
                code |= format(System.out, System.err, "--dry-run", file);
            }
        }
        System.exit(code);
    }

    private static int format(OutputStream out, OutputStream err, String... options) throws Exception {
        List<String> arguments = new ArrayList<>(List.of("--palantir"));
        arguments.addAll(List.of(options));
        return new Main(writer(out), writer(err), System.in).format(arguments.toArray(String[]::new));
    }

    private static PrintWriter writer(OutputStream out) {
        return new PrintWriter(out, true, StandardCharsets.UTF_8);
    }

    /**
     * Returns whether the formatter changes a file before it wraps strings. It looks for strings in files with lines of
     * just {@value #COLUMNS} columns too, which costs three times as much as the rest and never changes them.
     */
    private static boolean changesWithoutWrapping(String file) throws Exception {
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        return format(said, said, "--dry-run", "--skip-reflowing-long-strings", file) != 0 || said.size() > 0;
    }

    private static boolean hasTextToWrap(Path file) throws IOException {
        return Files.readAllLines(file).stream().anyMatch(line -> line.length() > COLUMNS || line.contains("\"\"\""));
    }
}
