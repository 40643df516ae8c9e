package nibble.checkpoint.chat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.stream.Stream;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.SourceFile;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/**
 * Holds a checkpoint's chat templates by their names. The one that is used unless another is asked for is called
 * {@value #DEFAULT}.
 *
 * @param sources the templates' texts
 */
public record ChatTemplates(SequencedMap<String, String> sources) {
    /** The template that is used unless another is asked for. */
    public static final String DEFAULT = "default";

    /** The one that is used when there are tools. */
    public static final String WITH_TOOLS = "tool_use";

    /** The folder of named templates beside the default one. */
    public static final String FOLDER = "additional_chat_templates";

    /** Where transformers keeps the default template. */
    public static final String FILE = "chat_template.jinja";

    /** The key of GGUF's metadata for the default template; named ones have a dot and their name behind it. */
    public static final String GGUF_KEY = "tokenizer.chat_template";

    /** Largest number of templates that are looked at. */
    public static final int MAX_TEMPLATES = 100;

    private static final String KEY = "chat_template";
    private static final String SUFFIX = ".jinja";

    /** Largest file that is looked at. */
    private static final long MAX_BYTES = 16 << 20;

    private static final ObjectMapper JSON = new ObjectMapper();

    public ChatTemplates {
        sources = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(sources));
    }

    /**
     * Returns the templates of a folder: {@code chat_template.jinja} and {@code
     * additional_chat_templates/NAME.jinja}, else
     * {@code chat_template.json}, else {@code chat_template} of tokenizer_config.json, each of which may hold one or
     * several.
     *
     * @param made side files that the checkpoint has in another form, as the metadata of a GGUF file, by name
     * @throws BadCheckpointException if one of these files is broken
     */
    public static ChatTemplates of(Path folder, Map<String, byte[]> made) {
        SequencedMap<String, String> sources = new LinkedHashMap<>();
        Path file = folder.resolve(FILE);
        if (SourceFile.isNamed(file)) {
            sources.put(DEFAULT, text(file));
        }
        for (Path named : additional(folder)) {
            String name = String.valueOf(named.getFileName());
            sources.putIfAbsent(name.substring(0, name.length() - SUFFIX.length()), text(named));
        }
        for (String name : List.of("chat_template.json", "tokenizer_config.json")) {
            if (!sources.containsKey(DEFAULT)) {
                add(
                        sources,
                        folder.resolve(name),
                        json(folder.resolve(name), made.get(name)).path(KEY));
            }
        }
        sources.values().removeIf(String::isBlank);
        return new ChatTemplates(sources);
    }

    /** Returns the files of named templates in a folder, sorted by name. */
    public static List<Path> additional(Path folder) {
        Path inner = folder.resolve(FOLDER);
        if (!Files.isDirectory(inner)) {
            return List.of();
        }
        try (Stream<Path> entries = Files.list(inner)) {
            return entries.filter(path -> path.getFileName().toString().endsWith(SUFFIX) && !Files.isDirectory(path))
                    .sorted()
                    .limit(MAX_TEMPLATES)
                    .toList();
        } catch (IOException e) {
            throw new BadCheckpointException(inner, "cannot be listed: " + Reasons.of(e), e);
        }
    }

    private static void add(SequencedMap<String, String> sources, Path file, JsonNode found) {
        if (found.isTextual()) {
            sources.put(DEFAULT, found.asText());
        } else if (found.isObject()) {
            found.properties().forEach(entry -> named(sources, file, entry.getKey(), entry.getValue()));
        } else if (found.isArray()) {
            for (JsonNode one : found) {
                named(sources, file, one.path("name").asText(""), one.path("template"));
            }
        } else if (!found.isMissingNode() && !found.isNull()) {
            throw wrong(file);
        }
    }

    private static void named(SequencedMap<String, String> sources, Path file, String name, JsonNode template) {
        if (name.isEmpty() || !template.isTextual() || sources.size() > MAX_TEMPLATES) {
            throw wrong(file);
        }
        sources.putIfAbsent(name, template.asText());
    }

    private static BadCheckpointException wrong(Path file) {
        return new BadCheckpointException(
                file,
                "\"chat_template\" is neither a text nor a list of {\"name\": …, \"template\": …}; get the file again");
    }

    private static JsonNode json(Path file, byte @Nullable [] made) {
        try {
            if (SourceFile.isNamed(file)) {
                return JSON.readTree(text(file));
            }
            return made == null ? MissingNode.getInstance() : JSON.readTree(made);
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read as JSON: " + Reasons.of(e), e);
        }
    }

    private static String text(Path file) {
        SourceFile.require(file);
        try {
            if (Files.size(file) > MAX_BYTES) {
                throw new BadCheckpointException(file, "larger than " + MAX_BYTES + " bytes; get the file again");
            }
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(java.nio.ByteBuffer.wrap(Files.readAllBytes(file)))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new BadCheckpointException(file, "is not UTF-8 text; get the file again", e);
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read: " + Reasons.of(e), e);
        }
    }

    public boolean isEmpty() {
        return sources.isEmpty();
    }

    /**
     * Returns the name of the template for a conversation, as transformers chooses it: the one asked for; else, with
     * tools,
     * {@value #WITH_TOOLS} if there is one; else the default.
     *
     * @param asked a name; null if none was asked for
     */
    public Optional<String> choose(@Nullable String asked, boolean withTools) {
        String name = asked != null ? asked : withTools && sources.containsKey(WITH_TOOLS) ? WITH_TOOLS : DEFAULT;
        return sources.containsKey(name) ? Optional.of(name) : Optional.empty();
    }

    /** Puts them into a tokenizer_config.json: one as a text, several as a list. */
    public void putInto(ObjectNode config) {
        if (sources.size() == 1 && sources.containsKey(DEFAULT)) {
            config.put(KEY, sources.get(DEFAULT));
        } else if (!sources.isEmpty()) {
            var list = config.putArray(KEY);
            sources.forEach(
                    (name, template) -> list.addObject().put("name", name).put("template", template));
        }
    }
}
