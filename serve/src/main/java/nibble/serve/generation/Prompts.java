package nibble.serve.generation;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.ChatRequest;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.SpecialTokens;
import nibble.files.Reasons;
import nibble.serve.api.ApiException;
import nibble.serve.api.ChatCall;
import nibble.serve.api.Prompt;
import org.jspecify.annotations.Nullable;

/** Makes ids of prompts and conversations, and holds them to the context. */
public final class Prompts {
    private final ServedModel model;
    private final TokenTexts texts;

    public Prompts(ServedModel model, TokenTexts texts) {
        this.model = model;
        this.texts = texts;
    }

    /** Returns a tokenizer that shows special tokens, or the model's own. */
    Tokenizer tokenizer(boolean skipSpecialTokens) {
        Tokenizer own = model.tokenizer();
        return skipSpecialTokens ? own : new ShowingSpecialTokens(own);
    }

    /**
     * Returns the ids of a prompt.
     *
     * @param special whether what the tokenizer puts in front of a text leads
     * @throws ApiException if it has none, or surely more than the context
     */
    public int[] ids(Prompt prompt, boolean special) {
        int[] ids = switch (prompt) {
            case Prompt.Ids given -> given.ids();
            case Prompt.Text given -> encode(given.text(), special, "prompt");
        };
        if (ids.length == 0) {
            throw ApiException.invalid("prompt", "prompt is empty; give at least one token");
        }
        return ids;
    }

    /** Returns the text of a prompt: as it was given, or of its ids. */
    public String text(Prompt prompt) {
        return switch (prompt) {
            case Prompt.Text given -> given.text();
            case Prompt.Ids given -> model.tokenizer().decodeWithSpecial(given.ids());
        };
    }

    /**
     * Returns the ids of a text.
     *
     * @param where the field that it comes from
     */
    public int[] encode(String text, boolean special, String where) {
        int context = model.contextTokens();
        // Encoding takes time; no tokenizer makes fewer ids of a text than its longest token allows.
        if (text.length() > (long) texts.longest() * (context + 1)) {
            throw ApiException.tooLong(
                    where,
                    "This model's maximum context length is %d tokens. %s has %d characters, which are more tokens"
                            .formatted(context, where, text.length()));
        }
        try {
            return model.tokenizer().encode(text, special);
        } catch (BadDatasetException e) {
            throw ApiException.invalid(where, where + ": " + Reasons.of(e));
        }
    }

    /**
     * Returns the ids of a conversation.
     *
     * @throws ApiException if there is no template, or it refuses the conversation
     */
    public int[] ids(ChatCall.Conversation conversation) {
        int[] ids = encode(render(conversation), conversation.specialTokens(), "messages");
        if (ids.length == 0) {
            throw ApiException.invalid("messages", "the template makes an empty text of messages");
        }
        return ids;
    }

    private String render(ChatCall.Conversation conversation) {
        ChatTemplate template = model.template()
                .orElseThrow(() -> ApiException.invalid(
                        "messages",
                        "the model has no chat template; the server needs --chat-template, or use /v1/completions"));
        Map<String, @Nullable Object> values = new LinkedHashMap<>(conversation.values());
        values.remove("messages");
        ChatRequest request =
                new ChatRequest(conversation.messages(), null, null, conversation.generationPrompt(), values);
        String text;
        try {
            text = template.render(request, new SpecialTokens(model.described().names()));
        } catch (BadDatasetException e) {
            throw ApiException.invalid("messages", Reasons.of(e));
        }
        return conversation.continueFinal() ? upToFinal(text, conversation.messages()) : text;
    }

    /** Cuts what the template puts behind the last message. */
    private static String upToFinal(String text, List<Map<String, @Nullable Object>> messages) {
        String last = messages.getLast().get("content") instanceof String content ? content : "";
        String found = text.contains(last) ? last : last.strip();
        int at = text.lastIndexOf(found);
        if (last.isEmpty() || at < 0) {
            throw ApiException.invalid(
                    "continue_final_message", "the last message has no text that the template keeps as it is");
        }
        return text.substring(0, at + found.length());
    }

    /**
     * Returns the most new ids after a prompt.
     *
     * @throws ApiException if the context does not hold both
     */
    public int room(int promptTokens, OptionalInt asked, String where) {
        int context = model.contextTokens();
        int rest = context - promptTokens;
        if (rest < 1 && asked.orElse(1) > 0 || rest < 0) {
            throw ApiException.tooLong(
                    where,
                    "This model's maximum context length is %d tokens. However, your %s has %d tokens; please reduce its length"
                            .formatted(context, where, promptTokens));
        }
        if (asked.isPresent() && asked.getAsInt() > rest) {
            throw ApiException.tooLong(
                    "max_tokens",
                    "This model's maximum context length is %d tokens. However, you requested %d tokens (%d in the %s, %d in the completion). Please reduce the length of the %s or the completion"
                            .formatted(
                                    context,
                                    (long) promptTokens + asked.getAsInt(),
                                    promptTokens,
                                    where,
                                    asked.getAsInt(),
                                    where));
        }
        return asked.orElse(rest);
    }

    /** Decodes special tokens too; whoever made the other one closes it. */
    private record ShowingSpecialTokens(Tokenizer tokenizer) implements Tokenizer {
        @Override
        public int[] encode(String text, boolean bos) {
            return tokenizer.encode(text, bos);
        }

        @Override
        public String decode(int[] ids) {
            return tokenizer.decodeWithSpecial(ids);
        }

        @Override
        public int vocabularySize() {
            return tokenizer.vocabularySize();
        }

        @Override
        public void close() {}
    }
}
