package nibble.cli.option;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.nio.file.Path;
import nibble.cli.terminal.Terminal;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/**
 * Holds the option {@code --json FILE}: the command's figures for scripts; {@code -} is standard output, kept clean of
 * anything else.
 */
public final class JsonOption {
    private static final ObjectMapper MAPPER = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(SerializationFeature.INDENT_OUTPUT)
            .build();

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "Write the figures as JSON to FILE. - is standard output, which then contains only the JSON.")
    @Nullable
    public String file;

    public boolean toStandardOutput() {
        return "-".equals(file);
    }

    /**
     * Tries, before hours of work, whether the file can be written.
     *
     * @throws UsageException if not
     */
    public void requireWritable() {
        if (file != null && !toStandardOutput()) {
            OutputFile.require("--json", Path.of(file));
        }
    }

    /** Writes {@code figures} where the option says, whole or not at all; does nothing without the option. */
    public void write(Terminal terminal, Object figures) {
        if (file == null) {
            return;
        }
        try {
            writeText(terminal, MAPPER.writeValueAsString(figures));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(figures.getClass() + " cannot be written as JSON", e);
        }
    }

    /** Does what {@link #write} does, of figures that are JSON already. */
    public void writeText(Terminal terminal, String text) {
        if (file == null) {
            return;
        }
        String json = text + "\n";
        if (toStandardOutput()) {
            terminal.out().print(json);
            terminal.out().flush();
            return;
        }
        OutputFile.write("--json ", Path.of(file), json);
    }
}
