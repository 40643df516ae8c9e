package nibble.pack.layout;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.QuantizedFormat;
import nibble.checkpoint.tensor.DType;
import nibble.pack.QuantizationSpec;

/** The config files of an output: config.json, and what older loaders read beside it. */
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
    public static ObjectNode quantized(
            ModelConfig config, QuantizedFormat format, QuantizationSpec spec, boolean symmetric) {
        ObjectNode json = dense(config, DType.F16);
        json.set(
                "quantization_config",
                switch (format) {
                    case AWQ_GEMM ->
                        JSON.createObjectNode()
                                .put("bits", spec.bits())
                                .put("group_size", spec.groupSize())
                                .putNull("modules_to_not_convert")
                                .put("quant_method", "awq")
                                .put("version", "gemm")
                                .put("zero_point", true);
                    case GPTQ, GPTQ_V2 -> gptq(format, spec, symmetric).put("quant_method", "gptq");
                    case COMPRESSED_TENSORS -> compressedTensors(spec, symmetric);
                });
        return json;
    }

    private static ObjectNode gptq(QuantizedFormat format, QuantizationSpec spec, boolean symmetric) {
        return JSON.createObjectNode()
                .put("bits", spec.bits())
                .put("group_size", spec.groupSize())
                .put("desc_act", false)
                .put("sym", symmetric)
                .put("lm_head", false)
                .put("true_sequential", true)
                .put("checkpoint_format", format.version());
    }

    /** Only keys that every release knows: loaders refuse unknown ones below {@code weights}. */
    private static ObjectNode compressedTensors(QuantizationSpec spec, boolean symmetric) {
        ObjectNode json = JSON.createObjectNode()
                .put("quant_method", "compressed-tensors")
                .put("format", "pack-quantized")
                .put("quantization_status", "compressed");
        json.putArray("ignore").add("lm_head");
        ObjectNode group = json.putObject("config_groups").putObject("group_0");
        group.putArray("targets").add("Linear");
        group.putNull("input_activations").putNull("output_activations");
        ObjectNode weights = group.putObject("weights")
                .put("num_bits", spec.bits())
                .put("type", "int")
                .put("symmetric", symmetric)
                .put("dynamic", false);
        if (spec.groupSize() == QuantizationSpec.WHOLE_ROW) {
            weights.put("strategy", "channel");
        } else {
            weights.put("strategy", "group").put("group_size", spec.groupSize());
        }
        return json;
    }

    /** Name and content of the files that older loaders read beside config.json. */
    public static Map<String, String> beside(QuantizedFormat format, QuantizationSpec spec, boolean symmetric) {
        return switch (format) {
            case AWQ_GEMM ->
                Map.of(
                        "quant_config.json",
                        pretty(JSON.createObjectNode()
                                .put("zero_point", true)
                                .put("q_group_size", spec.groupSize())
                                .put("w_bit", spec.bits())
                                .put("version", "GEMM")));
            case GPTQ, GPTQ_V2 -> Map.of("quantize_config.json", pretty(gptq(format, spec, symmetric)));
            case COMPRESSED_TENSORS -> Map.of();
        };
    }

    public static String pretty(ObjectNode json) {
        try {
            return JSON.writer(PRETTY).writeValueAsString(json) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a JSON tree that cannot be written", e);
        }
    }
}
