package nibble.checkpoint.origin;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.checkpoint.source.BadCheckpointException;
import org.jspecify.annotations.Nullable;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;

/**
 * Splits a model card's text as the hub does it: the YAML between two lines of {@code ---} at its beginning, and what
 * follows. A card without the second line has no metadata.
 *
 * @param values what the YAML holds: texts, numbers, lists and maps by key
 * @param body the text below
 */
public record FrontMatter(Map<String, Object> values, String body) {
    /** The file that a model's card is. */
    public static final String FILE_NAME = "README.md";

    /** What a card without metadata is. */
    public static final FrontMatter NONE = new FrontMatter(Map.of(), "");

    private static final Pattern BLOCK = Pattern.compile(
            "\\A\\s*---[ \\t]*(?:\\r\\n|\\r|\\n)(?:(.*?)(?:\\r\\n|\\r|\\n))??---[ \\t]*(?:\\r\\n|\\r|\\n|\\z)",
            Pattern.DOTALL);

    /** Larger than any card by far. */
    private static final long MOST_BYTES = 16L << 20;

    private static final int MOST_CHARACTERS = 1 << 20;
    private static final int MOST_ALIASES = 32;
    private static final int MOST_DEPTH = 50;

    public FrontMatter {
        values = Map.copyOf(values);
    }

    /**
     * Reads a card.
     *
     * @throws BadCheckpointException if it cannot be read or its YAML is damaged, naming the line
     */
    public static FrontMatter read(Path file) {
        try {
            if (Files.size(file) > MOST_BYTES) {
                throw new BadCheckpointException(
                        file, Files.size(file) + " bytes are no model card; give another file");
            }
            return parse(file, Files.readString(file));
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read as UTF-8 text: " + e.getMessage(), e);
        }
    }

    /** Does what {@link #read} does, where a card that cannot be read is none. */
    public static FrontMatter ifReadable(Path file) {
        if (!Files.isRegularFile(file)) {
            return NONE;
        }
        try {
            return read(file);
        } catch (BadCheckpointException e) {
            return NONE;
        }
    }

    /** Splits a card's text; {@code file} is for messages. */
    static FrontMatter parse(Path file, String content) {
        String text = content.startsWith("\uFEFF") ? content.substring(1) : content;
        Matcher block = BLOCK.matcher(text);
        if (!block.find()) {
            return new FrontMatter(Map.of(), lines(text));
        }
        String body = lines(text.substring(block.end()));
        String yaml = block.group(1) == null ? "" : block.group(1);
        // Indentation by tabs is not YAML, yet found in cards, and taken by the hub's own tools.
        Object found = load(file, yaml.replace("\t", "  "));
        if (found == null) {
            return new FrontMatter(Map.of(), body);
        }
        if (!(found instanceof Map<?, ?> map)) {
            throw new BadCheckpointException(
                    file, "its metadata between the lines of --- is no list of \"key: value\"; correct the card");
        }
        Map<String, Object> values = new LinkedHashMap<>();
        map.forEach((key, value) -> {
            if (key != null && value != null) {
                values.put(key.toString(), value);
            }
        });
        return new FrontMatter(values, body);
    }

    private static String lines(String text) {
        return text.replace("\r\n", "\n").replace('\r', '\n').strip();
    }

    /** Plain data only: no types of Java are made, and aliases, depth and size are bounded. */
    private static @Nullable Object load(Path file, String yaml) {
        LoadSettings settings = LoadSettings.builder()
                .setAllowDuplicateKeys(true)
                .setMaxAliasesForCollections(MOST_ALIASES)
                .setCodePointLimit(MOST_CHARACTERS)
                .setAllowRecursiveKeys(false)
                .build();
        try {
            Object found = new Load(settings).loadFromString(yaml);
            requireShallow(file, found, 0);
            return found;
        } catch (MarkedYamlEngineException e) {
            // The block begins in the card's second line.
            String where = e.getProblemMark()
                    .map(mark -> "line " + (mark.getLine() + 2) + ": ")
                    .orElse("");
            throw new BadCheckpointException(
                    file, where + "its metadata is not YAML: " + e.getProblem() + "; correct the card", e);
        } catch (YamlEngineException e) {
            throw new BadCheckpointException(
                    file, "its metadata is not YAML: " + e.getMessage() + "; correct the card", e);
        } catch (StackOverflowError e) {
            throw new BadCheckpointException(file, "its metadata is nested too deeply; correct the card");
        }
    }

    private static void requireShallow(Path file, @Nullable Object value, int depth) {
        if (depth > MOST_DEPTH) {
            throw new BadCheckpointException(file, "its metadata is nested too deeply; correct the card");
        }
        if (value instanceof Map<?, ?> map) {
            map.values().forEach(inner -> requireShallow(file, inner, depth + 1));
        } else if (value instanceof Iterable<?> list) {
            list.forEach(inner -> requireShallow(file, inner, depth + 1));
        }
    }

    /** Returns the text of a key; a number or a truth value is not one. */
    public Optional<String> text(String key) {
        return values.get(key) instanceof String text && !text.isBlank() ? Optional.of(text.strip()) : Optional.empty();
    }

    /** Returns the texts of a key that holds one or a list. */
    public List<String> texts(String key) {
        List<String> found = new ArrayList<>();
        if (values.get(key) instanceof Iterable<?> list) {
            for (Object one : list) {
                if (one instanceof String text && !text.isBlank()) {
                    found.add(text.strip());
                }
            }
        } else {
            text(key).ifPresent(found::add);
        }
        return found;
    }
}
