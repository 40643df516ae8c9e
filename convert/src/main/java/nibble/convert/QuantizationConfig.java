package nibble.convert;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.Locale;

/**
 * How a checkpoint's linears are quantized; only what can be read here: AWQ, GEMM layout, 4 bits, with zero points.
 *
 * @param method {@code awq}
 * @param bits bits of a code: 4
 * @param groupSize input features that share a scale: 32, 64, 128, or -1 for a whole row
 * @param zeroPoint whether each group has a zero point: true
 * @param version layout of the packed codes: {@code gemm}
 */
public record QuantizationConfig(String method, int bits, int groupSize, boolean zeroPoint, String version) {
    private static final String SUPPORTED =
            "; supported: AWQ (quant_method \"awq\", version \"gemm\", bits 4, zero_point true, group_size 32, 64, 128 or -1)";

    /** Input features in each group of a row of {@code inFeatures}. */
    public int groupSizeFor(int inFeatures) {
        return groupSize == -1 ? inFeatures : groupSize;
    }

    /**
     * Reads {@code quantization_config} of a config.json, or the whole of an AutoAWQ quant_config.json (keys
     * {@code w_bit}, {@code q_group_size}; no method).
     *
     * @throws BadCheckpointException for anything that is not supported, by name
     */
    static QuantizationConfig read(Path file, ObjectNode json, boolean methodNamed) {
        ConfigKeys keys = new ConfigKeys(file, json, methodNamed ? "quantization_config." : "");
        String method = methodNamed
                ? keys.text("quant_method").orElseThrow(() -> keys.missing("quant_method"))
                : keys.text("quant_method").orElse("awq");
        if (!method.toLowerCase(Locale.ROOT).equals("awq")) {
            throw new BadCheckpointException(
                    file, "quantized by method \"" + method + "\", which cannot be read" + SUPPORTED
                            + "; use the model's fp16 version");
        }
        String version = keys.text("version").orElse("gemm").toLowerCase(Locale.ROOT);
        if (!version.equals("gemm")) {
            throw new BadCheckpointException(file, "AWQ version \"" + version + "\" cannot be read" + SUPPORTED);
        }
        int bits = keys.integer(json.has("bits") ? "bits" : "w_bit", 1, 64);
        if (bits != 4) {
            throw new BadCheckpointException(file, "AWQ with " + bits + " bits cannot be read" + SUPPORTED);
        }
        boolean zeroPoint = keys.flag("zero_point", true);
        if (!zeroPoint) {
            throw new BadCheckpointException(file, "AWQ without zero points (zero_point false) cannot be read" + SUPPORTED);
        }
        int groupSize = keys.integer(json.has("group_size") ? "group_size" : "q_group_size", -1, Integer.MAX_VALUE);
        if (groupSize != -1 && groupSize != 32 && groupSize != 64 && groupSize != 128) {
            throw new BadCheckpointException(file, "AWQ with group size " + groupSize + " cannot be read" + SUPPORTED);
        }
        return new QuantizationConfig("awq", bits, groupSize, zeroPoint, version);
    }
}
