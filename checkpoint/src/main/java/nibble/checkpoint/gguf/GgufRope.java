package nibble.checkpoint.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.source.BadCheckpointException;

/** Makes {@code rope_scaling} of config.json of a GGUF file: of its metadata and of tensors with factors. */
final class GgufRope {
    /** Divisors of all frequencies, as Llama 3.1 has them. */
    static final String FACTORS = "rope_freqs.weight";

    /** Longrope's, for sequences beyond the original length. */
    static final String LONG = "rope_factors_long.weight";

    static final String SHORT = "rope_factors_short.weight";

    private static final String ORIGINAL = "original_max_position_embeddings";

    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final GgufFile file;
    private final GgufMetadata metadata;
    private final Architecture architecture;
    private final int width;

    /** @param width values of a head that turn */
    GgufRope(GgufFile file, Architecture architecture, int width) {
        this.file = file;
        this.metadata = file.metadata();
        this.architecture = architecture;
        this.width = width;
    }

    private String key(String name) {
        return architecture.ggufName() + "." + name;
    }

    /** @param json takes what stands beside {@code rope_scaling} */
    JsonNode scaling(ObjectNode json, double theta) {
        if (file.tensors().containsKey(LONG)) {
            return longRope(json);
        }
        JsonNode stated = stated(json);
        GgufFile.Tensor factors = file.tensors().get(FACTORS);
        if (factors == null || RopeFactors.areOnes(factors)) {
            return stated;
        }
        if (!stated.isNull()) {
            throw new BadCheckpointException(
                    file.path(),
                    "rope is scaled both by tensor " + FACTORS + " and by " + key("rope.scaling.factor")
                            + "; not supported");
        }
        return RopeFactors.llama3(file.path(), factors, theta, width);
    }

    private JsonNode longRope(ObjectNode json) {
        boolean byLength = architecture.scalesByLength();
        if (!architecture.ggufName().equals("phi3") && !byLength) {
            throw new BadCheckpointException(
                    file.path(),
                    "rope with long and short factors (longrope) is not supported in \"" + architecture.ggufName()
                            + "\"; supported: phi3, phimoe");
        }
        long original = metadata.integer(key("rope.scaling.original_context_length"))
                .orElseGet(() -> metadata.requiredInteger(key("context_length")));
        json.put(ORIGINAL, original);
        ObjectNode scaling = JsonNodeFactory.instance.objectNode().put("type", "longrope");
        factors(SHORT, scaling.putArray("short_factor"));
        factors(LONG, scaling.putArray("long_factor"));
        double stretch = (double) metadata.requiredInteger(key("context_length")) / original;
        double usual = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
        if (byLength) {
            double scale = metadata.number(key("rope.scaling.attn_factor"))
                    .map(factor -> GgufConfig.single(factor))
                    .orElse(1.0);
            return scaling.put("short_mscale", scale).put("long_mscale", scale);
        }
        metadata.number(key("rope.scaling.attn_factor"))
                .filter(factor -> factor.floatValue() != (float) usual)
                .ifPresent(factor -> scaling.put("attention_factor", GgufConfig.single(factor)));
        return scaling;
    }

    private void factors(String name, ArrayNode into) {
        GgufFile.Tensor tensor = file.tensors().get(name);
        if (tensor == null || tensor.type() != GgufType.F32 || tensor.shape().elements() != width / 2) {
            throw new BadCheckpointException(
                    file.path(), "tensor " + name + " is missing or not F32 [" + width / 2 + "]; get the file again");
        }
        for (long i = 0; i < width / 2; i++) {
            into.add(GgufConfig.single(tensor.data().get(FLOAT, 4 * i)));
        }
    }

    private JsonNode stated(ObjectNode json) {
        // As llama.cpp reads it: linear where no type is given, the old key where the new one is absent, 0 for no
        // factor.
        String type = metadata.text(key("rope.scaling.type")).orElse("linear");
        double factor = metadata.number(key("rope.scaling.factor"))
                .or(() -> metadata.number(key("rope.scale_linear")))
                .orElse(0.0);
        boolean scales = factor != 0 && factor != 1;
        return switch (type) {
            case "none" -> GgufConfig.none();
            case "linear" ->
                scales
                        ? JsonNodeFactory.instance
                                .objectNode()
                                .put("type", "linear")
                                .put("factor", factor)
                        : GgufConfig.none();
            case "yarn" -> scales ? yarn(json, factor) : GgufConfig.none();
            // Its factors are tensors; without them nothing changes.
            case "longrope" -> GgufConfig.none();
            default ->
                throw new BadCheckpointException(
                        file.path(),
                        "rope scaling type \"" + type
                                + "\" is not supported; supported: none, linear, yarn, longrope, llama3's factors");
        };
    }

    private JsonNode yarn(ObjectNode json, double factor) {
        ObjectNode scaling =
                JsonNodeFactory.instance.objectNode().put("rope_type", "yarn").put("factor", factor);
        boolean stretches = architecture.hasLatentAttention();
        if (stretches) {
            // llama.cpp's converter divides by 10, and takes the two to be equal.
            double scale = GgufConfig.single(10 * metadata.requiredNumber(key("rope.scaling.yarn_log_multiplier")));
            scaling.put("mscale", scale).put("mscale_all_dim", scale);
        }
        for (String name : stretches
                ? new String[] {"yarn_ext_factor"}
                : new String[] {"yarn_log_multiplier", "yarn_ext_factor"}) {
            String other = key("rope.scaling." + name);
            double neutral = name.equals("yarn_ext_factor") ? 1 : 0;
            if (metadata.number(other).orElse(neutral) != neutral) {
                throw new BadCheckpointException(
                        file.path(), "metadata key " + other + " is not supported; supported: " + neutral + " or none");
            }
        }
        scaling.put(
                ORIGINAL,
                metadata.integer(key("rope.scaling.original_context_length"))
                        .orElseGet(() -> metadata.requiredInteger(key("context_length"))));
        if (architecture.hasSinks()) {
            // gpt-oss's, whose files cannot say that bounds are not rounded.
            scaling.put("truncate", false);
        }
        metadata.number(key("rope.scaling.yarn_beta_fast")).ifPresent(beta -> scaling.put("beta_fast", beta));
        metadata.number(key("rope.scaling.yarn_beta_slow")).ifPresent(beta -> scaling.put("beta_slow", beta));
        return scaling;
    }
}
