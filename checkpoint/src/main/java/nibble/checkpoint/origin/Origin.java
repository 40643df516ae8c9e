package nibble.checkpoint.origin;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Says where a model came from, as far as its folder tells: kept in the report of what is made of it, so that a card
 * can name it. Nothing is guessed.
 *
 * @param baseModel organization/name on the hub
 * @param revision commit of it
 * @param license the license's names on the hub, as its card states them
 * @param licenseName of a license that the hub has no name for
 * @param licenseLink the text of that license
 * @param language of its card
 */
@JsonInclude(JsonInclude.Include.NON_EMPTY)
public record Origin(
        @JsonProperty("base_model") @Nullable String baseModel,
        @JsonProperty("revision") @Nullable String revision,
        @JsonProperty("license") List<String> license,
        @JsonProperty("license_name") @Nullable String licenseName,
        @JsonProperty("license_link") @Nullable String licenseLink,
        @JsonProperty("language") List<String> language) {
    /** Names of the reports that may hold one, under {@code source}. */
    static final List<String> REPORTS = List.of("quantization_report.json", "conversion_report.json");

    private static final Origin UNKNOWN = new Origin(null, null, List.of(), null, null, List.of());
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Folder of a repository and of a commit in the hub's cache. */
    private static final Pattern REPOSITORY = Pattern.compile("models--([^/]+?)--([^/]+)");

    private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");

    @SuppressWarnings("UnnecessaryParentheses")
    public Origin {
        license = license == null ? List.of() : List.copyOf(license);
        language = language == null ? List.of() : List.copyOf(language);
    }

    /**
     * Finds out what is known of the model in a folder or file: by its place in the hub's cache, its report and its
     * card.
     */
    public static Origin of(Path model) {
        Path folder = Files.isDirectory(model) ? model : model.toAbsolutePath().getParent();
        if (folder == null) {
            return UNKNOWN;
        }
        Origin reported = reported(folder);
        FrontMatter card = FrontMatter.ifReadable(folder.resolve(FrontMatter.FILE_NAME));
        boolean quantized = card.text("base_model_relation").equals(Optional.of("quantized"));
        Optional<String> original = card.text("base_model").filter(_ -> quantized);
        Origin cached = cached(folder);
        List<String> license = card.texts("license");
        return new Origin(
                reported.baseModel != null ? reported.baseModel : original.orElse(cached.baseModel),
                reported.baseModel != null ? reported.revision : original.isPresent() ? null : cached.revision,
                license.isEmpty() ? reported.license : license,
                license.isEmpty()
                        ? reported.licenseName
                        : card.text("license_name").orElse(null),
                license.isEmpty()
                        ? reported.licenseLink
                        : card.text("license_link").orElse(null),
                card.texts("language").isEmpty() ? reported.language : card.texts("language"));
    }

    /**
     * Returns the name on the hub of the repository that a folder is a snapshot of, by its place in the hub's cache.
     */
    public static Optional<String> repository(Path model) {
        return Optional.ofNullable(cached(model).baseModel);
    }

    private static Origin cached(Path folder) {
        Path at = folder.toAbsolutePath().normalize();
        for (Path up = at; up != null && up.getParent() != null; up = up.getParent()) {
            Path snapshots = up.getParent();
            Path repository = snapshots.getParent();
            if (repository == null || !snapshots.endsWith("snapshots")) {
                continue;
            }
            Matcher name = REPOSITORY.matcher(String.valueOf(repository.getFileName()));
            String commit = String.valueOf(up.getFileName());
            if (name.matches() && COMMIT.matcher(commit).matches()) {
                return new Origin(name.group(1) + "/" + name.group(2), commit, List.of(), null, null, List.of());
            }
        }
        return UNKNOWN;
    }

    /** Reads what a report of Nibble's in the folder says. */
    public static Origin reported(Path folder) {
        for (String name : REPORTS) {
            Path file = folder.resolve(name);
            if (!Files.isRegularFile(file)) {
                continue;
            }
            try {
                JsonNode source = JSON.readTree(file.toFile()).path("source");
                if (source.isObject()) {
                    return of(source);
                }
            } catch (IOException e) {
                // A damaged report is verify's to find; here nothing is known from it.
                continue;
            }
        }
        return UNKNOWN;
    }

    private static Origin of(JsonNode source) {
        return new Origin(
                text(source, "base_model"),
                text(source, "revision"),
                texts(source.path("license")),
                text(source, "license_name"),
                text(source, "license_link"),
                texts(source.path("language")));
    }

    private static @Nullable String text(JsonNode json, String key) {
        return json.path(key).isTextual() ? json.path(key).textValue() : null;
    }

    private static List<String> texts(JsonNode json) {
        List<String> texts = new ArrayList<>();
        json.forEach(text -> texts.add(text.asText()));
        return texts;
    }

    /** Returns whether nothing is known. */
    @JsonIgnore
    public boolean isUnknown() {
        return equals(UNKNOWN);
    }

    /** Returns this, or null where nothing is known. */
    @JsonIgnore
    public @Nullable Origin known() {
        return isUnknown() ? null : this;
    }
}
