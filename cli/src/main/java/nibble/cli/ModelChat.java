package nibble.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.chat.ChatTemplates;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.SpecialTokens;
import org.jspecify.annotations.Nullable;

/** What a MODEL argument says of conversations: its own templates and its special tokens. */
final class ModelChat {
    /** The name on the command line for the checkpoint's own template. */
    static final String OWN = "model";

    private ModelChat() {}

    /** The checkpoint's own templates, a GGUF file's too; none if it has none. */
    static ChatTemplates templates(Path model) {
        return ChatTemplates.of(model, made(model));
    }

    private static Map<String, byte[]> made(Path model) {
        if (Files.exists(model.resolve("tokenizer_config.json"))) {
            return Map.of();
        }
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            return checkpoint.madeFiles();
        }
    }

    /**
     * A format by its name: {@value #OWN} or null for the checkpoint's own, as transformers chooses among several; a name of
     * one of the checkpoint's own; a built-in one.
     *
     * @throws UsageException if there is none
     */
    static ChatTemplate format(Path model, @Nullable String name, boolean withTools) {
        ChatTemplates own = templates(model);
        String asked = name == null || name.equals(OWN) ? null : name;
        Optional<String> chosen = own.choose(asked, withTools);
        if (chosen.isPresent()) {
            String source = own.sources().getOrDefault(chosen.get(), "");
            return ChatTemplate.of(chosen.get().equals(ChatTemplates.DEFAULT) ? OWN : chosen.get(), source);
        }
        if (asked != null && ChatTemplate.names().contains(asked)) {
            return ChatTemplate.named(asked);
        }
        List<String> others = new ArrayList<>(own.sources().keySet());
        others.addAll(ChatTemplate.names());
        throw new UsageException(asked != null
                ? "no prompt template \"" + asked + "\"; there are " + String.join(", ", others) + " and model, the checkpoint's own"
                : model + ": has no " + (own.isEmpty() ? "chat_template of its own" : "chat template called \"default\"")
                        + "; give --template one of " + String.join(", ", others));
    }

    /** The texts that templates name. */
    static SpecialTokens tokens(Path model) {
        SequencedMap<String, String> names = new LinkedHashMap<>();
        Path file = model.resolve("tokenizer_config.json");
        try {
            JsonNode config = new ObjectMapper().readTree(
                    Files.isRegularFile(file) ? Files.readAllBytes(file) : made(model).getOrDefault("tokenizer_config.json", "{}".getBytes(java.nio.charset.StandardCharsets.UTF_8)));
            for (Map.Entry<String, JsonNode> entry : config.properties()) {
                JsonNode token = entry.getValue();
                String text = token.isObject() ? token.path("content").asText("") : token.isTextual() ? token.asText() : "";
                if (entry.getKey().endsWith("_token") && !text.isEmpty()) {
                    names.put(entry.getKey(), text);
                }
            }
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read as JSON: " + e.getMessage(), e);
        }
        return new SpecialTokens(names);
    }
}
