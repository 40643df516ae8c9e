package nibble.pack.layout;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.TreeMap;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.tensor.DType;
import nibble.pack.QuantizationSpec;

/** Writes the config.json of an output: the source's, with what the output's types and layout change. */
public final class QuantizationJson {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final DefaultPrettyPrinter PRETTY = new DefaultPrettyPrinter()
            .withObjectIndenter(new DefaultIndenter("  ", "\n"))
            .withArrayIndenter(new DefaultIndenter("  ", "\n"));

    private QuantizationJson() {}

    /** Returns the source's config with another element type and no quantization. */
    public static ObjectNode dense(ModelConfig config, DType dtype) {
        ObjectNode json = config.json();
        json.remove("quantization_config");
        // Loaders choose the class by these; a source without them, or with an old name, was read by what they mean.
        json.putArray("architectures").add(config.architecture().className());
        json.put("model_type", config.architecture().modelType());
        // The output has no layers behind those of the decoder.
        config.architecture().furtherLayersKey().filter(json::has).ifPresent(key -> json.put(key, 0));
        new TreeMap<>(config.architecture().assumedKeys()).forEach((key, value) -> {
            if (!json.hasNonNull(key)) {
                json.set(key, JSON.valueToTree(value));
            }
        });
        String name = switch (dtype) {
            case F32 -> "float32";
            case BF16 -> "bfloat16";
            default -> "float16";
        };
        // Whichever of the two keys the source uses is set in place; the 2023 one where it has neither.
        boolean named = false;
        for (String key : List.of("torch_dtype", "dtype")) {
            if (json.has(key)) {
                json.put(key, name);
                named = true;
            }
        }
        if (!named) {
            json.put("torch_dtype", name);
        }
        return json;
    }

    /** Returns the source's config as that of an fp16 model whose linears are quantized so. */
    public static ObjectNode quantized(ModelConfig config, QuantizedFormat format, QuantizationSpec spec) {
        ObjectNode json = dense(config, DType.F16);
        json.set("quantization_config", Layout.of(format).config(spec, config.gates()));
        return json;
    }

    static ObjectNode object() {
        return JSON.createObjectNode();
    }

    /** Returns the text that is written in files: indented, with a line's end. */
    public static String pretty(ObjectNode json) {
        try {
            return JSON.writer(PRETTY).writeValueAsString(json) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a JSON tree that cannot be written", e);
        }
    }
}
