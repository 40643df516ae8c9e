package nibble.checkpoint.model.quantization;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;
import nibble.checkpoint.source.StrictJson;

/**
 * Describes how a checkpoint's linears are stored, as its config.json says: 4 or 8 bits in one of the layouts
 * of {@link QuantizedFormat}. Its readers reject every other config by the name of what it asks for. What the numbers
 * are, apart from a file and a layout, is {@code nibble.pack.QuantizationSpec}.
 *
 * @param format the layout
 * @param bits bits of a code: 4 or 8
 * @param groupSize input features that share a scale: 32, 64, 128, or -1 for a whole row
 * @param symmetric whether the config says that all zeros are in the middle: 8 at 4 bits
 * @param ordersColumns whether the config says that columns are in order of activation
 */
public record QuantizationConfig(
        QuantizedFormat format, int bits, int groupSize, boolean symmetric, boolean ordersColumns) {
    /** Bits that a code may have. */
    public static final List<Integer> BITS = List.of(4, 8);

    /** Group size that means one group a row. */
    public static final int WHOLE_ROW = -1;

    /** Group sizes that loaders take beside whole rows, the largest first. */
    public static final List<Integer> GROUP_SIZES = List.of(128, 64, 32);

    private static final String SUPPORTED =
            "; supported: AWQ (version \"gemm\", zero_point true) with 4 bits, GPTQ and compressed-tensors"
                    + " (format \"pack-quantized\") with 4 or 8 bits, group size 32, 64, 128 or -1";

    /** Returns {@code quant_method}, as {@code awq}. */
    public String method() {
        return format.method();
    }

    /** Returns the layout's own name, as {@code gemm}. */
    public String version() {
        return format.version();
    }

    /** Returns how many input features a group has in a row of {@code inFeatures}. */
    public int columnsPerGroup(int inFeatures) {
        return columnsPerGroup(groupSize, inFeatures);
    }

    /** Returns how many input features a group has in a row of {@code inFeatures}, for any group size. */
    public static int columnsPerGroup(int groupSize, int inFeatures) {
        return groupSize == WHOLE_ROW ? inFeatures : groupSize;
    }

    /**
     * Reads {@code quantization_config} of a config.json.
     *
     * @throws BadCheckpointException for anything that is not supported, by name
     */
    public static QuantizationConfig read(Path file, ObjectNode json) {
        ConfigKeys keys = new ConfigKeys(file, json, "quantization_config.");
        boolean bitsAndBytes = keys.flag("load_in_4bit", false) || keys.flag("load_in_8bit", false);
        String method = keys.text("quant_method")
                .or(() -> bitsAndBytes ? Optional.of("bitsandbytes") : Optional.empty())
                .orElseThrow(() -> keys.missing("quant_method"));
        return switch (method.toLowerCase(Locale.ROOT)) {
            case "awq" -> awq(keys);
            case "gptq" -> gptq(keys);
            case "compressed-tensors" -> compressedTensors(keys);
            default ->
                throw unsupported(
                        file, "quantized by method \"" + method + "\", which", "; use the model's fp16 version");
        };
    }

    /** Reads AutoAWQ's quant_config.json, which may have the keys {@code w_bit} and {@code q_group_size}. */
    public static QuantizationConfig readAwqFile(Path file) {
        return awq(new ConfigKeys(file, StrictJson.readObject(file), ""));
    }

    /** Reads AutoGPTQ's quantize_config.json. */
    public static QuantizationConfig readGptqFile(Path file) {
        return gptq(new ConfigKeys(file, StrictJson.readObject(file), ""));
    }

    private static QuantizationConfig awq(ConfigKeys keys) {
        String version = keys.text("version").orElse("gemm").toLowerCase(Locale.ROOT);
        if (!version.equals("gemm")) {
            throw unsupported(keys.file(), "AWQ version \"" + version + "\"", "");
        }
        if (!keys.flag("zero_point", true)) {
            throw unsupported(keys.file(), "AWQ without zero points (zero_point false)", "");
        }
        int bits = keys.integer(keys.json().has("bits") ? "bits" : "w_bit", 1, 64);
        int groupSize =
                keys.integer(keys.json().has("group_size") ? "group_size" : "q_group_size", -1, Integer.MAX_VALUE);
        return checked(keys.file(), "AWQ", QuantizedFormat.AWQ_GEMM, bits, groupSize, false, false);
    }

    private static QuantizationConfig gptq(ConfigKeys keys) {
        // The key is of 2024; older files are all of the first kind.
        String format =
                keys.text("checkpoint_format").or(() -> keys.text("format")).orElse("gptq");
        QuantizedFormat layout = switch (format.toLowerCase(Locale.ROOT)) {
            case "gptq" -> QuantizedFormat.GPTQ;
            case "gptq_v2" -> QuantizedFormat.GPTQ_V2;
            default -> throw unsupported(keys.file(), "GPTQ with checkpoint_format \"" + format + "\"", "");
        };
        // A rule that begins with "-:" leaves modules as they are, which their tensors show too.
        if (keys.object("dynamic").stream()
                .flatMap(rules -> rules.properties().stream())
                .anyMatch(rule -> !rule.getKey().startsWith("-:"))) {
            throw unsupported(keys.file(), "GPTQ with \"dynamic\" rules, a format for each module,", "");
        }
        if (keys.flag("lm_head", false)) {
            throw unsupported(keys.file(), "GPTQ with a quantized lm_head", "");
        }
        return checked(
                keys.file(),
                "GPTQ",
                layout,
                keys.integer("bits", 1, 64),
                keys.integer("group_size", -1, Integer.MAX_VALUE),
                keys.flag("sym", true),
                keys.flag("desc_act", false));
    }

    private static QuantizationConfig compressedTensors(ConfigKeys keys) {
        Path file = keys.file();
        ObjectNode groups = keys.object("config_groups").orElseThrow(() -> keys.missing("config_groups"));
        if (groups.size() != 1) {
            throw unsupported(file, "compressed-tensors with " + groups.size() + " config_groups", "");
        }
        Map.Entry<String, JsonNode> only = groups.properties().iterator().next();
        if (!(only.getValue() instanceof ObjectNode group)) {
            throw keys.wrong("config_groups", groups, "objects");
        }
        String prefix = "quantization_config.config_groups." + only.getKey() + ".";
        ConfigKeys groupKeys = new ConfigKeys(file, group, prefix);
        String format = groupKeys.text("format").or(() -> keys.text("format")).orElse("pack-quantized");
        if (!format.equals("pack-quantized")
                || groupKeys.object("input_activations").isPresent()) {
            String what = format.equals("pack-quantized") ? "quantized activations" : "format \"" + format + "\"";
            throw unsupported(file, "compressed-tensors with " + what, "");
        }
        ObjectNode weights = groupKeys.object("weights").orElseThrow(() -> groupKeys.missing("weights"));
        ConfigKeys weightKeys = new ConfigKeys(file, weights, prefix + "weights.");
        String type = weightKeys.text("type").orElse("int");
        String strategy = weightKeys.text("strategy").orElse("group");
        if (!type.equals("int") || !strategy.equals("group") && !strategy.equals("channel")) {
            throw unsupported(file, "compressed-tensors of type \"" + type + "\", strategy \"" + strategy + "\"", "");
        }
        return checked(
                file,
                "compressed-tensors",
                QuantizedFormat.COMPRESSED_TENSORS,
                weightKeys.integer("num_bits", 1, 64),
                strategy.equals("channel") ? WHOLE_ROW : weightKeys.integer("group_size", -1, Integer.MAX_VALUE),
                weightKeys.flag("symmetric", true),
                ordersColumns(weights.path("actorder")));
    }

    /**
     * "group" and its older names keep columns in their own groups; "static" and "weight" leave them where they are.
     */
    private static boolean ordersColumns(JsonNode actorder) {
        return actorder.asBoolean(false)
                || List.of("group", "dynamic").contains(actorder.asText().toLowerCase(Locale.ROOT));
    }

    private static QuantizationConfig checked(
            Path file,
            String name,
            QuantizedFormat format,
            int bits,
            int groupSize,
            boolean symmetric,
            boolean ordersColumns) {
        if (!format.bits().contains(bits)) {
            throw unsupported(file, name + " with " + bits + " bits", "");
        }
        if (groupSize != WHOLE_ROW && !GROUP_SIZES.contains(groupSize)) {
            throw unsupported(file, name + " with group size " + groupSize, "");
        }
        return new QuantizationConfig(format, bits, groupSize, symmetric, ordersColumns);
    }

    private static BadCheckpointException unsupported(Path file, String what, String advice) {
        return new BadCheckpointException(file, what + " cannot be read" + SUPPORTED + advice);
    }
}
