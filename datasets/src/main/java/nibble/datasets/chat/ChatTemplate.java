package nibble.datasets.chat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Supplier;
import nibble.datasets.BadDatasetException;
import nibble.jinja.Template;
import nibble.jinja.syntax.JinjaException;
import org.jspecify.annotations.Nullable;

/**
 * Formats conversations. The text that {@link #render} makes holds the special tokens, BOS included, literally: encode
 * it without adding a BOS.
 */
public final class ChatTemplate {
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
    private @Nullable Template compiled;

    private ChatTemplate(String name, String source, List<String> stops) {
        this.name = name;
        this.source = source;
        this.stops = stops;
    }

    /** Returns the names of the built-in formats. */
    public static List<String> names() {
        return List.copyOf(BUILT_IN.sequencedKeySet());
    }

    /**
     * Returns a built-in format.
     *
     * @throws IllegalArgumentException if there is no built-in format of this name
     */
    public static ChatTemplate named(String name) {
        List<String> stops = BUILT_IN.get(name);
        if (stops == null) {
            throw new IllegalArgumentException("no prompt template \"" + name + "\"; there are "
                    + String.join(", ", names()) + " and model, the checkpoint's own");
        }
        try (InputStream in = ChatTemplate.class.getResourceAsStream(name + ".jinja")) {
            if (in == null) {
                throw new IllegalStateException("the template " + name + " is not in this build");
            }
            return new ChatTemplate(name, new String(in.readAllBytes(), StandardCharsets.UTF_8), stops);
        } catch (IOException e) {
            throw new IllegalStateException("the template " + name + " cannot be read", e);
        }
    }

    /** Returns a template given as text. */
    public static ChatTemplate of(String name, String source) {
        return new ChatTemplate(name, source, List.of());
    }

    /** Returns its name: a built-in format's name, or {@code model}. */
    public String name() {
        return name;
    }

    /** Returns the Jinja source. */
    public String source() {
        return source;
    }

    /** Returns the texts that end the assistant's turn where the model writes no EOS. */
    public List<String> stops() {
        return stops;
    }

    /**
     * Returns the conversation up to where the assistant speaks.
     *
     * @throws BadDatasetException if the template refuses the conversation or cannot be rendered
     */
    public String render(List<ChatMessage> messages, SpecialTokens tokens) {
        return render(ChatRequest.of(messages), tokens);
    }

    /**
     * Returns the text that a model is given.
     *
     * @throws BadDatasetException if the template refuses the conversation or cannot be rendered
     */
    public String render(ChatRequest request, SpecialTokens tokens) {
        return render(request, tokens, () -> ZonedDateTime.now(ZoneId.systemDefault()));
    }

    /** Returns the same at another time, which templates can print. */
    public String render(ChatRequest request, SpecialTokens tokens, Supplier<ZonedDateTime> clock) {
        Map<String, @Nullable Object> values = new LinkedHashMap<>(tokens.names());
        values.putAll(request.values());
        values.put("messages", request.messages());
        values.put("tools", request.tools());
        values.put("documents", request.documents());
        values.put("add_generation_prompt", request.generationPrompt());
        try {
            return compiled().render(values, clock);
        } catch (JinjaException e) {
            throw new BadDatasetException(
                    switch (e.reason()) {
                        case RAISED -> what() + " refuses the conversation: " + e.getMessage();
                        case SYNTAX ->
                            what() + " is no template: " + e.getMessage() + "; get it again, or choose another";
                        case ERROR -> what() + " cannot be rendered with this conversation: " + e.getMessage();
                        case LIMIT -> what() + " cannot be rendered: " + e.getMessage() + "; choose another";
                    },
                    e);
        }
    }

    private synchronized Template compiled() {
        Template present = compiled == null ? Template.chat(source) : compiled;
        compiled = present;
        return present;
    }

    private String what() {
        return "prompt template " + name;
    }
}
