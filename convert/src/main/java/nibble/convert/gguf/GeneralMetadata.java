package nibble.convert.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.gguf.GgufValue;
import nibble.checkpoint.gguf.GgufValue.F32;
import nibble.checkpoint.gguf.GgufValue.I32;
import nibble.checkpoint.gguf.GgufValue.Text;
import nibble.checkpoint.gguf.GgufValue.Texts;
import nibble.checkpoint.gguf.GgufValue.U32;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.origin.FrontMatter;
import nibble.checkpoint.origin.Origin;
import org.jspecify.annotations.Nullable;

/**
 * The {@code general.*} keys of a GGUF file, from what llama.cpp's converter takes them: the model's card, its
 * generation_config.json, the names in config.json and of its folder, and the number of its parameters.
 */
final class GeneralMetadata {
    private static final String HUB = "https://huggingface.co/";
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Keys by the entries of a card that they are taken from, the first one that it has. */
    private static final Map<String, List<String>> OF_CARD = ofCard();

    private final SequencedMap<String, GgufValue> pairs = new LinkedHashMap<>();

    private GeneralMetadata() {}

    private static Map<String, List<String>> ofCard() {
        Map<String, List<String>> keys = new LinkedHashMap<>();
        keys.put("name", List.of("name", "model_name"));
        keys.put("author", List.of("author", "model_author", "model_creator"));
        keys.put("version", List.of("version", "model_version"));
        keys.put("organization", List.of("organization", "model_organization"));
        keys.put("finetune", List.of("finetune", "model_finetune"));
        keys.put("basename", List.of("basename", "model_basename", "model_type"));
        keys.put("description", List.of("description", "model_description"));
        keys.put("size_label", List.of("size_label", "model_size_label"));
        keys.put("source.url", List.of("url", "model_url"));
        keys.put("source.doi", List.of("doi", "model_doi"));
        keys.put("source.uuid", List.of("uuid", "model_uuid"));
        keys.put("source.repo_url", List.of("repo_url", "model_repo_url"));
        return keys;
    }

    /**
     * The keys of a file.
     *
     * @param folderName that a folder without any other name has
     * @param parameters weights of the file
     */
    static SequencedMap<String, GgufValue> of(Checkpoint source, String folderName, GgufMix mix, long parameters) {
        GeneralMetadata general = new GeneralMetadata();
        general.pairs.put(
                "general.architecture", new Text(source.config().architecture().ggufName()));
        general.text("type", "model");
        Path folder = source.folder();
        Optional<String> repository = Origin.repository(folder);
        FrontMatter card = FrontMatter.ifReadable(folder.resolve(FrontMatter.FILE_NAME));
        general.sampling(folder.resolve("generation_config.json"));
        OF_CARD.forEach((key, entries) -> entries.stream()
                .flatMap(entry -> card.text(entry).stream())
                .findFirst()
                .ifPresent(value -> general.text(key, value)));
        String path = source.config().json().path("_name_or_path").asText("");
        if (!path.isEmpty() && path.indexOf('/') == path.lastIndexOf('/')) {
            general.names(ModelNameParts.of(path, parameters));
        }
        general.names(ModelNameParts.of(repository.orElse(folderName), parameters));
        general.absent("size_label", sizeLabel(source.config(), parameters));
        if (mix.isQuantized()) {
            general.text("quantized_by", "Nibble");
        }
        general.origin(
                card,
                Origin.of(folder),
                repository,
                source.config().quantization().isPresent(),
                parameters);
        general.pairs.put("general.file_type", new U32(fileType(source, mix)));
        general.pairs.put("general.quantization_version", new U32(2));
        return general.pairs;
    }

    private void text(String key, @Nullable String value) {
        if (value != null && !value.isEmpty()) {
            pairs.put("general." + key, new Text(value));
        }
    }

    private void absent(String key, @Nullable String value) {
        if (!pairs.containsKey("general." + key)) {
            text(key, value);
        }
    }

    private void names(ModelNameParts parts) {
        absent("name", ModelNameParts.title(parts.name()));
        absent("organization", parts.organization() == null ? null : ModelNameParts.title(parts.organization()));
        absent("basename", parts.basename());
        absent("finetune", parts.finetune());
        absent("version", parts.version());
        absent("size_label", parts.sizeLabel());
    }

    private void origin(
            FrontMatter card, Origin origin, Optional<String> repository, boolean quantized, long parameters) {
        text("license", String.join(",", origin.license()));
        text("license.name", origin.licenseName());
        text("license.link", origin.licenseLink());
        List<String> bases = new ArrayList<>(card.texts("base_model"));
        if (bases.isEmpty() && quantized && origin.baseModel() != null) {
            bases.add(origin.baseModel());
        }
        models("base_model", bases, parameters);
        models("dataset", card.texts("datasets"), parameters);
        if (!quantized) {
            repository.ifPresent(name -> absent("source.repo_url", HUB + name));
        }
        List<String> tags = new ArrayList<>(card.texts("tags"));
        tags.addAll(card.texts("pipeline_tag"));
        texts("tags", tags);
        texts("languages", origin.language());
    }

    private void texts(String key, List<String> values) {
        if (!values.isEmpty()) {
            pairs.put("general." + key, new Texts(values));
        }
    }

    /** What a model was made from, each by its name on the hub or its address. */
    private void models(String kind, List<String> ids, long parameters) {
        if (ids.isEmpty()) {
            return;
        }
        pairs.put("general." + kind + ".count", new U32(ids.size()));
        for (int i = 0; i < ids.size(); i++) {
            String id = ids.get(i);
            String key = kind + "." + i + ".";
            boolean address = id.matches("(https?|ssh)://.*");
            String name = id.replaceFirst("^https?://huggingface\\.co/", "");
            if (address) {
                text(key + "repo_url", id);
                if (name.equals(id) || name.chars().filter(c -> c == '/').count() != 1) {
                    continue;
                }
            }
            ModelNameParts parts = ModelNameParts.of(name, parameters);
            text(key + "name", ModelNameParts.title(parts.name()));
            text(key + "version", parts.version());
            text(
                    key + "organization",
                    parts.organization() == null ? null : ModelNameParts.title(parts.organization()));
            if (!address && parts.organization() != null) {
                text(key + "repo_url", HUB + parts.organization() + "/" + parts.name());
            }
        }
    }

    /** Recommended ways to sample. */
    private void sampling(Path file) {
        JsonNode json;
        try {
            json = Files.isRegularFile(file) ? JSON.readTree(file.toFile()) : JSON.createObjectNode();
        } catch (IOException e) {
            // Not every model has a valid one; the file itself is verify's to judge.
            return;
        }
        if (json.path("sequence").isTextual()) {
            text("sampling.sequence", json.path("sequence").textValue());
        }
        whole("top_k", json.path("top_k"));
        number("top_p", json.path("top_p"));
        number("min_p", json.path("min_p"));
        number("xtc_probability", json.path("xtc_probability"));
        number("xtc_threshold", json.path("xtc_threshold"));
        number("temp", json.path("temperature"));
        whole("penalty_last_n", json.path("penalty_last_n"));
        number(
                "penalty_repeat",
                json.has("penalty_repeat") ? json.path("penalty_repeat") : json.path("repetition_penalty"));
        whole("mirostat", json.path("mirostat"));
        number("mirostat_tau", json.path("mirostat_tau"));
        number("mirostat_eta", json.path("mirostat_eta"));
    }

    private void whole(String key, JsonNode value) {
        if (value.isInt()) {
            pairs.put("general.sampling." + key, new I32(value.intValue()));
        }
    }

    private void number(String key, JsonNode value) {
        if (value.isNumber()) {
            pairs.put("general.sampling." + key, new F32(value.floatValue()));
        }
    }

    /** A number of weights in two digits at least, as 7.1M or 13B. */
    /** A mixture's has the number of experts, and the weights of a model with one of them. */
    private static String sizeLabel(ModelConfig config, long parameters) {
        if (config.experts().isEmpty()) {
            return sizeLabel(parameters);
        }
        Experts experts = config.experts().get();
        long layers = config.layers() - experts.denseLayers().size();
        long ofOneExpert = layers * 3 * experts.width() * config.hiddenSize();
        return experts.count() + "x" + sizeLabel(parameters - ofOneExpert * (experts.count() - 1));
    }

    static String sizeLabel(long parameters) {
        double scaled = parameters;
        String suffix = "K";
        if (parameters > 1_000_000_000_000L) {
            scaled *= 1e-12;
            suffix = "T";
        } else if (parameters > 1_000_000_000L) {
            scaled *= 1e-9;
            suffix = "B";
        } else if (parameters > 1_000_000L) {
            scaled *= 1e-6;
            suffix = "M";
        } else {
            scaled *= 1e-3;
        }
        String whole = String.valueOf((long) Math.rint(scaled)).replaceFirst("^0+", "");
        return String.format(Locale.ROOT, "%." + Math.max(2 - whole.length(), 0) + "f%s", scaled, suffix);
    }

    /** A file that keeps experts in MXFP4 beside floats or bytes is of that type, as in llama.cpp's converter. */
    private static int fileType(Checkpoint source, GgufMix mix) {
        boolean kept = source.names().stream()
                .flatMap(name -> source.stored(name).stream())
                .anyMatch(stored -> stored.storage().equals(GgufType.MXFP4.name()));
        return kept && !mix.searchesScales() ? GgufMix.MXFP4_MOE.fileType() : mix.fileType();
    }
}
