package nibble.datasets.chat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import nibble.datasets.BadDatasetException;
import nibble.datasets.SourceText;
import nibble.files.Reasons;

/**
 * A format of conversations. The text that {@link #render} makes holds the special tokens, BOS included, literally: encode it
 * without adding a BOS.
 */
public final class ChatTemplate {
    /** Longest template or conversation that is looked at. */
    private static final long MAX_BYTES = 4 << 20;

    /** The built-in formats' names, each with the texts that end the assistant's turn where the model writes no EOS. */
    private static final SequencedMap<String, List<String>> BUILT_IN = new LinkedHashMap<>();

    static {
        BUILT_IN.put("orca-hashes", List.of("### User:", "### System:"));
        BUILT_IN.put("llama-2-chat", List.of("[INST]"));
        BUILT_IN.put("chatml", List.of("<|im_end|>", "<|im_start|>"));
        BUILT_IN.put("alpaca", List.of("### Instruction:"));
        BUILT_IN.put("vicuna", List.of("USER:"));
    }

    private final String name;
    private final String source;
    private final List<String> stops;

    private ChatTemplate(String name, String source, List<String> stops) {
        this.name = name;
        this.source = source;
        this.stops = stops;
    }

    /** Names of the built-in formats. */
    public static List<String> names() {
        return List.copyOf(BUILT_IN.sequencedKeySet());
    }

    /** @throws IllegalArgumentException if there is no built-in format of this name */
    public static ChatTemplate named(String name) {
        List<String> stops = BUILT_IN.get(name);
        if (stops == null) {
            throw new IllegalArgumentException(
                    "no prompt template \"" + name + "\"; there are " + String.join(", ", names()) + " and model, the checkpoint's own");
        }
        try (InputStream in = ChatTemplate.class.getResourceAsStream(name + ".jinja")) {
            if (in == null) {
                throw new IllegalStateException("the template " + name + " is not in this build");
            }
            return new ChatTemplate(name, withoutLastNewline(new String(in.readAllBytes(), StandardCharsets.UTF_8)), stops);
        } catch (IOException e) {
            throw new IllegalStateException("the template " + name + " cannot be read", e);
        }
    }

    /** A template given as text. */
    public static ChatTemplate of(String name, String source) {
        return new ChatTemplate(name, withoutLastNewline(source), List.of());
    }

    /**
     * The checkpoint's own template: {@code chat_template.jinja}, {@code chat_template.json}, or {@code chat_template} of
     * tokenizer_config.json, of which the one named {@code default} where there are several.
     *
     * @throws BadDatasetException if one of these files is broken
     */
    public static Optional<ChatTemplate> ofModel(Path folder) {
        Path jinja = folder.resolve("chat_template.jinja");
        if (Files.exists(jinja, LinkOption.NOFOLLOW_LINKS)) {
            return Optional.of(of("model", text(jinja)));
        }
        JsonNode found = json(folder.resolve("chat_template.json")).path("chat_template");
        if (found.isMissingNode()) {
            found = json(folder.resolve("tokenizer_config.json")).path("chat_template");
        }
        if (found.isArray()) {
            for (JsonNode named : found) {
                if (named.path("name").asText("").equals("default")) {
                    return Optional.of(of("model", named.path("template").asText("")));
                }
            }
        }
        return found.isTextual() && !found.asText().isBlank() ? Optional.of(of("model", found.asText())) : Optional.empty();
    }

    /** What it is called: a built-in format's name, or {@code model}. */
    public String name() {
        return name;
    }

    /** The Jinja source. */
    public String source() {
        return source;
    }

    /** Texts that end the assistant's turn where the model writes no EOS. */
    public List<String> stops() {
        return stops;
    }

    /**
     * The conversation up to where the assistant speaks.
     *
     * @throws BadDatasetException if the template refuses the conversation, or uses what is not supported
     */
    public String render(List<ChatMessage> messages, SpecialTokens tokens) {
        List<Map<String, Object>> turns = new ArrayList<>();
        for (ChatMessage message : messages) {
            Map<String, Object> turn = new LinkedHashMap<>();
            turn.put("role", message.role().label());
            turn.put("content", message.content());
            turns.add(turn);
        }
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("messages", turns);
        values.put("bos_token", tokens.bos());
        values.put("eos_token", tokens.eos());
        values.put("add_generation_prompt", true);
        return Jinja.render("prompt template " + name, source, values);
    }

    /** Jinja drops one newline at a template's end, as the reference implementation does. */
    private static String withoutLastNewline(String source) {
        return source.endsWith("\n") ? source.substring(0, source.length() - 1) : source;
    }

    static JsonNode json(Path file) {
        ObjectMapper json = new ObjectMapper();
        if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
            return json.missingNode();
        }
        try {
            return json.readTree(text(file));
        } catch (IOException e) {
            throw new BadDatasetException(file + ": cannot be read as JSON: " + Reasons.of(e), e);
        }
    }

    private static String text(Path file) {
        SourceText.require(file);
        try {
            if (Files.size(file) > MAX_BYTES) {
                throw new BadDatasetException(file + ": larger than " + MAX_BYTES + " bytes; get the file again");
            }
            return Files.readString(file);
        } catch (IOException e) {
            throw new BadDatasetException(file + ": cannot be read as UTF-8 text: " + Reasons.of(e), e);
        }
    }
}
