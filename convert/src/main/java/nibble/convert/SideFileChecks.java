package nibble.convert;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What lies beside the weights: config files that must agree, tokenizer, chat template, generation config. */
final class SideFileChecks {
    private static final String TOKENIZER = "tokenizer";
    private static final String GENERATION = "generation-config";

    /** What other programs leave behind when they are stopped while writing. */
    private static final Pattern UNFINISHED = Pattern.compile(".*(\\.tmp|\\.part|\\.partial.*|\\.incomplete|\\.crdownload)");

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
                        "files", folder.resolve(name) + ": looks like what a stopped program leaves behind; remove it"));
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
        if (!names.contains("tokenizer.json") && !names.contains("tokenizer.model")) {
            findings.accept(Finding.error(
                    TOKENIZER, folder + ": neither tokenizer.json nor tokenizer.model; copy the original model's"));
        }
        ObjectNode settings = json("tokenizer_config.json", TOKENIZER);
        if (!names.contains("tokenizer_config.json")) {
            findings.accept(Finding.warning(
                    TOKENIZER, folder + ": no tokenizer_config.json, so loaders guess the tokenizer's class and special"
                            + " tokens; copy the original model's"));
        }
        ObjectNode fast = json("tokenizer.json", TOKENIZER);
        if (fast != null && config != null && config.path("vocab_size").isInt()) {
            long largest = largestId(fast);
            if (largest >= config.path("vocab_size").intValue()) {
                findings.accept(Finding.error(
                        TOKENIZER, folder.resolve("tokenizer.json") + ": its largest id is " + largest
                                + ", config.json's vocab_size is " + config.path("vocab_size")
                                + "; the tokenizer is another model's, copy the original one"));
            }
        }
        boolean template = settings != null && settings.hasNonNull("chat_template")
                || Files.exists(folder.resolve("chat_template.jinja"))
                || Files.exists(folder.resolve("chat_template.json"));
        if (!template) {
            findings.accept(Finding.warning(
                    "chat-template", folder + ": no chat template (tokenizer_config.json's chat_template or"
                            + " chat_template.jinja), so chat servers refuse or guess; add one if the model is made for chat"));
        }
    }

    private static long largestId(ObjectNode tokenizer) {
        long largest = -1;
        for (JsonNode id : tokenizer.path("model").path("vocab")) {
            largest = Math.max(largest, id.isInt() ? id.longValue() : -1);
        }
        for (JsonNode token : tokenizer.path("added_tokens")) {
            largest = Math.max(largest, token.path("id").asLong(-1));
        }
        return largest;
    }

    private void generation(@Nullable ObjectNode config) {
        ObjectNode generation = json("generation_config.json", GENERATION);
        if (generation == null) {
            return;
        }
        Path file = folder.resolve("generation_config.json");
        List<String> sampling = new ArrayList<>();
        for (Map.Entry<String, Double> neutral : Map.of("temperature", 1.0, "top_p", 1.0).entrySet()) {
            JsonNode value = generation.get(neutral.getKey());
            if (value != null && value.isNumber() && value.doubleValue() != neutral.getValue()) {
                sampling.add(neutral.getKey());
            }
        }
        if (!generation.path("do_sample").asBoolean(false) && !sampling.isEmpty()) {
            sampling.sort(null);
            findings.accept(Finding.warning(
                    GENERATION, file + ": " + String.join(" and ", sampling)
                            + " set but do_sample is not true, which transformers refuses to save again; set do_sample true"));
        }
        JsonNode eos = generation.path("eos_token_id");
        for (JsonNode id : eos.isArray() ? eos : List.of(eos)) {
            if (config != null && id.isNumber() && id.longValue() >= config.path("vocab_size").asLong(Long.MAX_VALUE)) {
                findings.accept(Finding.error(
                        GENERATION, file + ": eos_token_id " + id + " is outside the vocabulary of "
                                + config.path("vocab_size") + ", so generation never ends; copy the original file"));
            }
        }
    }
}
