package nibble.convert.card;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import nibble.convert.BadCheckpointException;
import nibble.convert.LlamaConfig;
import nibble.convert.QuantizationConfig;
import nibble.convert.RepositoryFiles;
import nibble.jinja.JinjaException;
import nibble.jinja.Template;

/**
 * The README.md of a quantized checkpoint. Values come from its config.json, its quantization_report.json, its files' sizes, and
 * the JSON of measurements; a value that is not known is left out, never guessed.
 */
public final class ModelCard {
    public static final String FILE_NAME = "README.md";

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String BUILT_IN = "model-card.md.jinja";
    private static final String REPORT = "quantization_report.json";

    private ModelCard() {}

    /** The built-in template, a starting point for one's own. */
    public static String builtInTemplate() {
        try (InputStream in = ModelCard.class.getResourceAsStream(BUILT_IN)) {
            if (in == null) {
                throw new IllegalStateException("the card's template is not in this build");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException("the card's template cannot be read", e);
        }
    }

    /**
     * Renders a card.
     *
     * @throws BadCheckpointException if the folder is no quantized checkpoint, a measurement's file is not one, or the template
     *     is wrong
     */
    public static String render(CardRequest request) {
        String source = request.template().map(ModelCard::text).orElseGet(ModelCard::builtInTemplate);
        Path where = request.template().orElse(Path.of(BUILT_IN));
        try {
            return Template.document(source)
                            .render(values(request), () -> ZonedDateTime.now(ZoneId.systemDefault()))
                            .strip()
                    + "\n";
        } catch (JinjaException e) {
            throw new BadCheckpointException(where, String.valueOf(e.getMessage()));
        }
    }

    private static Map<String, Object> values(CardRequest request) {
        LlamaConfig config = LlamaConfig.read(request.folder().resolve("config.json"));
        QuantizationConfig quantization = config.quantization()
                .orElseThrow(() -> new BadCheckpointException(
                        request.folder(), "is not quantized; a card is for the checkpoint that 'nibble quantize' writes"));
        OriginalCard original = request.originalCard().map(file -> OriginalCard.parse(text(file))).orElse(OriginalCard.NONE);
        JsonNode report = json(request.folder().resolve(REPORT));

        Map<String, Object> values = new LinkedHashMap<>();
        String base = request.baseModel().orElse("");
        String named = base.isEmpty() ? request.repo() : base;
        String name = named.substring(named.indexOf('/') + 1).replaceFirst("(?i)-AWQ$", "");
        values.put("repo", request.repo());
        values.put("branch", request.branch());
        values.put("base_model", base);
        values.put("model_name", name);
        values.put("model_creator", base.contains("/") ? base.substring(0, base.indexOf('/')) : "");
        values.put("model_type", config.architecture().modelType());
        values.put("license", request.license().or(original::license).orElse(""));
        values.put("languages", original.languages());
        values.put("prompt_template", request.promptTemplate().orElse(""));
        values.put("quantized_by", request.repo().substring(0, Math.max(0, request.repo().indexOf('/'))));
        values.put("bits", quantization.bits());
        values.put("group_size", quantization.groupSize());
        values.put("context_tokens", config.maxPositions());
        values.put("method", report.path("method").asText(""));
        values.put("calibration", calibration(report.path("calibration")));
        values.put("mean_relative_error", percent(report.path("mean_relative_error")));
        values.put("mean_rtn_relative_error", percent(report.path("mean_rtn_relative_error")));
        values.put("weight_size", gigabytes(weightBytes(request.folder())));
        Measurements measured = Measurements.read(request.evaluations());
        Measurements baseline = Measurements.read(request.baselineEvaluations());
        values.put("perplexities", MeasuredPerplexity.rows(measured.perplexities(), baseline.perplexities()));
        values.put("tasks", MeasuredTask.rows(measured.tasks(), measured.baselineTasks(baseline)));
        values.put("divergences", measured.divergences());
        values.put("original_card", original.body());
        values.put("front_matter", frontMatter(values));
        return values;
    }

    private static Map<String, Object> calibration(JsonNode calibration) {
        Map<String, Object> values = new LinkedHashMap<>();
        if (calibration.isObject()) {
            long blocks = calibration.path("blocks").asLong(0);
            long tokens = calibration.path("tokens").asLong(0);
            values.put("description", calibration.path("description").asText(""));
            values.put("blocks", blocks);
            values.put("tokens", tokens);
            values.put("sequence_length", blocks == 0 ? 0 : tokens / blocks);
            values.put("tokens_sha256", calibration.path("tokens_sha256").asText(""));
        }
        return values;
    }

    private static String percent(JsonNode share) {
        return share.isNumber() ? String.format(Locale.ROOT, "%.2f %%", 100 * share.doubleValue()) : "";
    }

    private static long weightBytes(Path folder) {
        long bytes = 0;
        for (Map.Entry<String, Path> file : RepositoryFiles.list(folder).entrySet()) {
            bytes += file.getKey().endsWith(".safetensors") ? file.getValue().toFile().length() : 0;
        }
        return bytes;
    }

    private static String gigabytes(long bytes) {
        return bytes < 100_000_000
                ? String.format(Locale.ROOT, "%.2f MB", bytes / 1e6)
                : String.format(Locale.ROOT, "%.2f GB", bytes / 1e9);
    }

    /** The YAML that hubs read. A string in JSON's quotes is one in YAML too, whatever it holds. */
    private static String frontMatter(Map<String, Object> values) {
        StringBuilder yaml = new StringBuilder("---\n");
        for (String key : List.of("base_model", "model_creator", "model_name", "model_type", "license")) {
            line(yaml, key, String.valueOf(values.get(key)));
        }
        if (values.get("languages") instanceof List<?> languages && !languages.isEmpty()) {
            yaml.append("language:\n");
            languages.forEach(language -> yaml.append("- ").append(quoted(String.valueOf(language))).append('\n'));
        }
        yaml.append("library_name: transformers\npipeline_tag: text-generation\ninference: false\n");
        line(yaml, "prompt_template", String.valueOf(values.get("prompt_template")));
        line(yaml, "quantized_by", String.valueOf(values.get("quantized_by")));
        yaml.append("tags:\n- awq\n- 4-bit\n- llama\n- nibble\n---");
        return yaml.toString();
    }

    private static void line(StringBuilder yaml, String key, String value) {
        if (!value.isEmpty()) {
            yaml.append(key).append(": ").append(quoted(value)).append('\n');
        }
    }

    private static String quoted(String text) {
        try {
            return JSON.writeValueAsString(text);
        } catch (IOException e) {
            throw new IllegalArgumentException("not a JSON string", e);
        }
    }

    private static JsonNode json(Path file) {
        return Files.isRegularFile(file) ? json(file, text(file)) : MissingNode.getInstance();
    }

    static JsonNode json(Path file, String text) {
        try {
            return JSON.readTree(text);
        } catch (IOException e) {
            throw new BadCheckpointException(file, "is not JSON: " + e.getMessage(), e);
        }
    }

    static String text(Path file) {
        try {
            return Files.readString(file);
        } catch (CharacterCodingException e) {
            throw new BadCheckpointException(file, "is not UTF-8 text; this is another kind of file", e);
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read as UTF-8 text: " + e, e);
        }
    }

    /** The card of an unquantized model's folder, if it has one. */
    public static Optional<Path> in(Path folder) {
        return Optional.of(folder.resolve(FILE_NAME)).filter(Files::isRegularFile);
    }
}
