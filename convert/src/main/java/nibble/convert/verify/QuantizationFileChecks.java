package nibble.convert.verify;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.source.StrictJson;
import org.jspecify.annotations.Nullable;

/**
 * What config.json and the files beside it say of the quantization: one thing, in the keys of every generation of
 * loaders.
 */
final class QuantizationFileChecks {
    private static final String CHECK = "quantization-config";

    /** A setting by its name in config.json, and its names in all files. */
    private static final Map<String, List<String>> SETTINGS = settings();

    private QuantizationFileChecks() {}

    private static Map<String, List<String>> settings() {
        Map<String, List<String>> settings = new LinkedHashMap<>();
        settings.put("quant_method", List.of("quant_method"));
        settings.put("bits", List.of("bits", "w_bit"));
        settings.put("group_size", List.of("group_size", "q_group_size"));
        settings.put("zero_point", List.of("zero_point"));
        settings.put("version", List.of("version"));
        settings.put("sym", List.of("sym"));
        settings.put("desc_act", List.of("desc_act"));
        settings.put("checkpoint_format", List.of("checkpoint_format", "format"));
        return settings;
    }

    /**
     * Compares the files.
     *
     * @param names files of the folder
     * @param config content of config.json; null if it cannot be read
     */
    static void run(Path folder, List<String> names, @Nullable ObjectNode config, Consumer<Finding> findings) {
        JsonNode main = config == null ? null : config.get("quantization_config");
        for (String name : List.of("quant_config.json", "quantize_config.json")) {
            if (names.contains(name)) {
                side(folder.resolve(name), main, findings);
            }
        }
        String dtype = config == null
                ? ""
                : config.path("torch_dtype").asText(config.path("dtype").asText(""));
        boolean awq = main != null && main.path("quant_method").asText("").equals("awq");
        if (awq && !dtype.isEmpty() && !dtype.equals("float16")) {
            findings.accept(Finding.warning(
                    "config",
                    folder.resolve("config.json") + ": torch_dtype is \"" + dtype
                            + "\", AWQ kernels of several loaders compute in float16 only; write \"float16\""));
        }
    }

    private static void side(Path file, @Nullable JsonNode main, Consumer<Finding> findings) {
        ObjectNode side;
        try {
            side = StrictJson.readObject(file);
        } catch (BadCheckpointException e) {
            findings.accept(Finding.of(CHECK, e));
            return;
        }
        if (main == null || !main.isObject()) {
            findings.accept(Finding.error(
                    CHECK,
                    file + ": config.json has no quantization_config, so transformers would"
                            + " load the model as if it were not quantized; add the same settings there"));
            return;
        }
        SETTINGS.forEach((key, spellings) -> {
            JsonNode left = first(main, spellings);
            JsonNode right = first(side, spellings);
            if (left != null && right != null && !text(left).equals(text(right))) {
                findings.accept(Finding.error(
                        CHECK,
                        file + ": " + key + " is " + right + ", config.json's quantization_config says " + left
                                + "; some loaders believe the one, some the other: correct or remove this file"));
            }
        });
    }

    private static String text(JsonNode value) {
        return value.asText().toLowerCase(Locale.ROOT);
    }

    private static @Nullable JsonNode first(JsonNode json, List<String> spellings) {
        for (String key : spellings) {
            if (json.hasNonNull(key)) {
                return json.get(key);
            }
        }
        return null;
    }
}
