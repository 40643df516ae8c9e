package nibble.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** {@code --json FILE}: the command's figures for scripts; {@code -} is standard output, kept clean of anything else. */
final class JsonOption {
    private static final ObjectMapper MAPPER = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(SerializationFeature.INDENT_OUTPUT)
            .build();

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "Write the figures as JSON to FILE; - is standard output, which then holds nothing else.")
    @Nullable
    String file;

    boolean toStandardOutput() {
        return "-".equals(file);
    }

    /**
     * Looks, before hours of work, whether the file's folder is there.
     *
     * @throws UsageException if not
     */
    void requireWritable() {
        if (file == null || toStandardOutput()) {
            return;
        }
        Path target = Path.of(file).toAbsolutePath();
        if (Files.isDirectory(target)) {
            throw new UsageException("--json " + file + ": is a folder; give a file's name");
        }
        if (target.getParent() == null || !Files.isDirectory(target.getParent())) {
            throw new UsageException("--json " + file + ": no folder " + target.getParent() + "; make it first");
        }
    }

    /** Writes {@code figures} where the option says, whole or not at all; does nothing without the option. */
    void write(Terminal terminal, Object figures) {
        if (file == null) {
            return;
        }
        try {
            writeText(terminal, MAPPER.writeValueAsString(figures));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(figures.getClass() + " cannot be written as JSON", e);
        }
    }

    /** {@link #write} of figures that are JSON already. */
    void writeText(Terminal terminal, String text) {
        if (file == null) {
            return;
        }
        try {
            String json = text + "\n";
            if (toStandardOutput()) {
                terminal.out().print(json);
                terminal.out().flush();
                return;
            }
            Path target = Path.of(file).toAbsolutePath();
            Path temporary = target.resolveSibling(target.getFileName() + ".tmp");
            Files.writeString(temporary, json);
            Files.move(temporary, target, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new UncheckedIOException("--json " + file + ": cannot be written: " + e, e);
        }
    }
}
