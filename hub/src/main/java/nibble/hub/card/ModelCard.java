package nibble.hub.card;

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
import nibble.checkpoint.origin.FrontMatter;
import nibble.checkpoint.origin.Origin;
import nibble.checkpoint.origin.Yaml;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.SourceFile;
import nibble.files.Reasons;
import nibble.jinja.Template;
import nibble.jinja.syntax.JinjaException;

/**
 * Writes the README.md of what Nibble makes: quantized checkpoints of every layout, GGUF files, dense conversions.
 * Values come from its config.json or metadata, its reports, its files' sizes, and the JSON of measurements; a value
 * that is not known is left out, never guessed.
 */
public final class ModelCard {
    public static final String FILE_NAME = FrontMatter.FILE_NAME;

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String BUILT_IN = "model-card.md.jinja";
    private static final String REPORT = "quantization_report.json";

    /** What the name of a repository adds to a model's for what its weights are. */
    private static final String KIND_IN_NAME =
            "(?i)[-_.](AWQ|GPTQ|GGUF|RTN|W[48]A16|compressed-tensors|[48]bit|int[48])([-_.]g?\\d+g?)?$";

    private ModelCard() {}

    /** Returns the built-in template, a starting point for one's own. */
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
     * @throws BadCheckpointException if the folder is neither quantized nor converted by Nibble, a measurement's file
     *     is not one, or the template is wrong
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
        CardSubject subject = CardSubject.of(request.folder());
        FrontMatter original = request.originalCard().map(FrontMatter::read).orElse(FrontMatter.NONE);
        JsonNode report = json(request.folder().resolve(REPORT));
        Origin origin = subject.origin();

        Map<String, Object> values = new LinkedHashMap<>();
        String base = request.baseModel().orElse(origin.baseModel() == null ? "" : origin.baseModel());
        String named = base.isEmpty() ? request.repo() : base;
        String name = named.substring(named.indexOf('/') + 1).replaceFirst(KIND_IN_NAME, "");
        values.put("repo", request.repo());
        values.put("branch", request.branch());
        values.put("base_model", base);
        values.put(
                "base_model_revision",
                request.baseModel().isPresent() || origin.revision() == null ? "" : origin.revision());
        values.put("model_name", name);
        values.put("model_creator", base.contains("/") ? base.substring(0, base.indexOf('/')) : "");
        values.put("model_type", subject.architecture());
        License license = License.of(request, original, origin);
        values.put("license", license.names().size() == 1 ? license.names().getFirst() : license.names());
        values.put("license_name", license.name());
        values.put("license_link", license.link());
        values.put("languages", original.texts("language").isEmpty() ? origin.language() : original.texts("language"));
        values.put("prompt_template", request.promptTemplate().orElse(""));
        values.put(
                "quantized_by",
                request.repo().substring(0, Math.max(0, request.repo().indexOf('/'))));
        values.put("title", subject.title());
        values.put("format", subject.format().id());
        values.put("format_version", subject.version());
        values.put("symmetric", subject.symmetric());
        values.put("converted_from", subject.from());
        values.put("bits", subject.bits());
        values.put("group_size", subject.groupSize());
        values.put("context_tokens", subject.contextTokens());
        values.put("method", subject.method());
        values.put("calibration", calibration(report.path("calibration")));
        values.put("importance", subject.importance());
        values.put("has_report", report.isObject());
        values.put("mean_relative_error", percent(report.path("mean_relative_error")));
        values.put("mean_rtn_relative_error", percent(report.path("mean_rtn_relative_error")));
        values.put("tuning", tuning(report.path("tuning")));
        List<String> warnings = new ArrayList<>();
        report.path("warnings").forEach(warning -> warnings.add(warning.asText()));
        values.put("warnings", warnings);
        values.put("weight_size", size(subject.weightBytes()));
        values.put("files", subject.files());
        Measurements measured = Measurements.read(request.evaluations());
        Measurements baseline = Measurements.read(request.baselineEvaluations());
        values.put("perplexities", MeasuredPerplexity.rows(measured.perplexities(), baseline.perplexities()));
        values.put("tasks", MeasuredTask.rows(measured.tasks(), measured.baselineTasks(baseline)));
        values.put("divergences", measured.divergences());
        values.put("mt_bench", MtBenchGrade.rows(measured.grades()));
        values.put("original_card", original.body());
        values.put("front_matter", frontMatter(values, subject, measured));
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

    /** Of a model whose tuned numbers were kept. */
    private static Map<String, Object> tuning(JsonNode tuning) {
        Map<String, Object> values = new LinkedHashMap<>();
        if (tuning.path("kept").asBoolean(false)) {
            values.put("steps", tuning.path("steps").asInt(0));
            values.put("before", nats(tuning.path("divergence_before")));
            values.put("after", nats(tuning.path("divergence_after")));
        }
        return values;
    }

    private static String nats(JsonNode divergence) {
        return String.format(Locale.ROOT, "%.5f", divergence.asDouble());
    }

    private static String percent(JsonNode share) {
        return share.isNumber() ? String.format(Locale.ROOT, "%.2f %%", 100 * share.doubleValue()) : "";
    }

    static String size(long bytes) {
        return bytes < 100_000_000
                ? String.format(Locale.ROOT, "%.2f MB", bytes / 1e6)
                : String.format(Locale.ROOT, "%.2f GB", bytes / 1e9);
    }

    /** The YAML that hubs read. */
    private static String frontMatter(Map<String, Object> values, CardSubject subject, Measurements measured) {
        Map<String, Object> yaml = new LinkedHashMap<>();
        if (subject.isQuantized()) {
            // A dense copy is no model of its own: the hub would call it a finetune.
            yaml.put("base_model", values.get("base_model"));
            yaml.put("base_model_relation", "".equals(values.get("base_model")) ? "" : "quantized");
        }
        for (String key :
                List.of("model_creator", "model_name", "model_type", "license", "license_name", "license_link")) {
            yaml.put(key, values.get(key));
        }
        yaml.put("language", values.get("languages"));
        yaml.put("library_name", subject.format() == CardSubject.Format.GGUF ? "gguf" : "transformers");
        yaml.put("pipeline_tag", "text-generation");
        yaml.put("prompt_template", values.get("prompt_template"));
        yaml.put("quantized_by", subject.isQuantized() ? values.get("quantized_by") : "");
        yaml.put("tags", subject.tags(!"".equals(values.get("prompt_template"))));
        String repo = String.valueOf(values.get("repo"));
        yaml.put("model-index", ModelIndex.of(repo.substring(repo.indexOf('/') + 1), measured));
        return Yaml.block(yaml);
    }

    /**
     * The license of a card.
     *
     * @param names the hub's; several where the original has several
     * @param name of one that the hub has no name for
     * @param link the text of that one
     */
    private record License(List<String> names, String name, String link) {
        /** What was asked for, else what the original's card says, else what is kept of it in the report. */
        static License of(CardRequest request, FrontMatter original, Origin origin) {
            if (request.license().isPresent()) {
                return new License(
                        List.of(request.license().get()),
                        request.licenseName().orElse(""),
                        request.licenseLink().orElse(""));
            }
            List<String> stated = original.texts("license");
            if (!stated.isEmpty()) {
                return new License(
                        stated,
                        original.text("license_name").orElse(""),
                        original.text("license_link").orElse(""));
            }
            return new License(
                    origin.license(),
                    origin.licenseName() == null ? "" : origin.licenseName(),
                    origin.licenseLink() == null ? "" : origin.licenseLink());
        }
    }

    /**
     * Returns the metadata of a card's text, as a hub's check of it takes it; empty if it has none.
     *
     * @throws BadCheckpointException if it is not YAML
     */
    public static Map<String, Object> metadata(Path card) {
        return FrontMatter.read(card).values();
    }

    /** Returns whether a card can be made for a folder: it is quantized, or Nibble converted it. */
    public static boolean describes(Path folder) {
        try {
            CardSubject.of(folder);
            return true;
        } catch (BadCheckpointException e) {
            return false;
        }
    }

    static JsonNode json(Path file) {
        return SourceFile.isNamed(file) ? json(file, text(file)) : MissingNode.getInstance();
    }

    static JsonNode json(Path file, String text) {
        try {
            return JSON.readTree(text);
        } catch (IOException e) {
            throw new BadCheckpointException(file, "is not JSON: " + Reasons.of(e), e);
        }
    }

    static String text(Path file) {
        SourceFile.require(file);
        try {
            return Files.readString(file);
        } catch (CharacterCodingException e) {
            throw new BadCheckpointException(file, "is not UTF-8 text; this is another kind of file", e);
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read as UTF-8 text: " + Reasons.of(e), e);
        }
    }

    /** Returns the card of an unquantized model's folder, if it has one. */
    public static Optional<Path> in(Path folder) {
        return Optional.of(folder.resolve(FILE_NAME)).filter(Files::isRegularFile);
    }
}
