package nibble.convert.verify;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import nibble.checkpoint.chat.ChatTemplates;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.source.StrictJson;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.jinja.Template;
import nibble.jinja.syntax.JinjaException;
import org.jspecify.annotations.Nullable;

/** Checks the files beside the weights: config files that must agree, tokenizer, chat template, generation config. */
final class SideFileChecks {
    private static final String TOKENIZER = "tokenizer";
    private static final String GENERATION = "generation-config";
    private static final String CHAT_TEMPLATE = "chat-template";

    /** What other programs leave behind when they are stopped while writing. */
    private static final Pattern UNFINISHED =
            Pattern.compile(".*(\\.tmp|\\.part|\\.partial.*|\\.incomplete|\\.crdownload)");

    private final Path folder;
    private final List<String> names;
    private final Consumer<Finding> findings;

    private SideFileChecks(Path folder, List<String> names, Consumer<Finding> findings) {
        this.folder = folder;
        this.names = names;
        this.findings = findings;
    }

    static void run(Path folder, List<String> names, Consumer<Finding> findings) {
        SideFileChecks checks = new SideFileChecks(folder, names, findings);
        checks.unfinished();
        @Nullable ObjectNode config = checks.json("config.json", "config");
        QuantizationFileChecks.run(folder, names, config, findings);
        checks.tokenizer(config);
        checks.generation(config);
    }

    private void unfinished() {
        for (String name : names) {
            if (UNFINISHED.matcher(name).matches()) {
                findings.accept(Finding.warning(
                        "files", folder.resolve(name) + ": looks like the leftover of a stopped program; remove it"));
            }
        }
    }

    private @Nullable ObjectNode json(String name, String check) {
        if (!names.contains(name)) {
            return null;
        }
        try {
            return StrictJson.readObject(folder.resolve(name));
        } catch (BadCheckpointException e) {
            findings.accept(Finding.of(check, e));
            return null;
        }
    }

    private void tokenizer(@Nullable ObjectNode config) {
        ObjectNode settings = json("tokenizer_config.json", TOKENIZER);
        if (!names.contains("tokenizer_config.json")) {
            findings.accept(Finding.warning(
                    TOKENIZER,
                    folder + ": no tokenizer_config.json, so loaders guess the tokenizer's class and special"
                            + " tokens; copy the original model's"));
        }
        // A tokenizer_config.json that is no JSON was said already.
        if (settings != null || !names.contains("tokenizer_config.json")) {
            vocabulary(config);
        }
        if (settings != null || !names.contains("tokenizer_config.json")) {
            chatTemplates();
        }
    }

    private void chatTemplates() {
        ChatTemplates templates;
        try {
            templates = ChatTemplates.of(folder, Map.of());
        } catch (BadCheckpointException e) {
            findings.accept(Finding.of(CHAT_TEMPLATE, e));
            return;
        }
        templates.sources().forEach((name, source) -> {
            try {
                Template.chat(source);
            } catch (JinjaException e) {
                // What only this implementation leaves out, others render.
                if (e.reason() == JinjaException.Reason.SYNTAX) {
                    findings.accept(Finding.warning(
                            CHAT_TEMPLATE,
                            folder + ": the chat template \"" + name + "\" does not parse, so no server renders it: "
                                    + e.getMessage() + "; copy the original model's"));
                }
            }
        });
        if (templates.isEmpty()) {
            findings.accept(Finding.warning(
                    CHAT_TEMPLATE,
                    folder + ": no chat template (tokenizer_config.json's chat_template or"
                            + " chat_template.jinja), so chat servers refuse or guess; add one if the model is"
                            + " made for chat"));
        }
    }

    private void vocabulary(@Nullable ObjectNode config) {
        try {
            Optional<TokenizerDescription> found = TokenizerDescription.ofFolder(folder);
            if (found.isEmpty() && !names.contains("tokenizer.model")) {
                findings.accept(Finding.error(
                        TOKENIZER,
                        folder + ": neither tokenizer.json nor tokenizer.model, tekken.json, or vocab.json and"
                                + " merges.txt; copy the original model's"));
            }
            if (config != null && config.path("vocab_size").isInt()) {
                int rows = config.path("vocab_size").intValue();
                found.flatMap(tokenizer -> tokenizer.beyond(rows)).ifPresent(beyond -> beyond(beyond, rows));
            }
        } catch (BadCheckpointException e) {
            findings.accept(Finding.of(TOKENIZER, e));
        }
    }

    /**
     * Loaders take added tokens that have no row of the embedding, as a pad token of a fine-tune; pieces of another
     * model they do not.
     */
    private void beyond(TokenizerDescription.Beyond beyond, int rows) {
        findings.accept(
                beyond.vocabulary()
                        ? Finding.error(
                                TOKENIZER,
                                folder + ": the tokenizer's largest id is " + beyond.largest()
                                        + ", config.json's vocab_size is " + rows
                                        + "; the tokenizer is another model's, copy the original one")
                        : Finding.warning(TOKENIZER, folder + ": " + beyond.words(rows)));
    }

    private void generation(@Nullable ObjectNode config) {
        ObjectNode generation = json("generation_config.json", GENERATION);
        if (generation == null) {
            return;
        }
        Path file = folder.resolve("generation_config.json");
        List<String> sampling = new ArrayList<>();
        for (Map.Entry<String, Double> neutral :
                Map.of("temperature", 1.0, "top_p", 1.0).entrySet()) {
            JsonNode value = generation.get(neutral.getKey());
            if (value != null && value.isNumber() && value.doubleValue() != neutral.getValue()) {
                sampling.add(neutral.getKey());
            }
        }
        if (!generation.path("do_sample").asBoolean(false) && !sampling.isEmpty()) {
            sampling.sort(null);
            findings.accept(Finding.warning(
                    GENERATION,
                    file + ": " + String.join(" and ", sampling)
                            + " set but do_sample is not true, which transformers refuses to save again; set"
                            + " do_sample true"));
        }
        JsonNode eos = generation.path("eos_token_id");
        for (JsonNode id : eos.isArray() ? eos : List.of(eos)) {
            if (config != null
                    && id.isNumber()
                    && id.longValue() >= config.path("vocab_size").asLong(Long.MAX_VALUE)) {
                findings.accept(Finding.error(
                        GENERATION,
                        file + ": eos_token_id " + id + " is outside the vocabulary of " + config.path("vocab_size")
                                + ", so generation never ends; copy the original file"));
            }
        }
    }
}
