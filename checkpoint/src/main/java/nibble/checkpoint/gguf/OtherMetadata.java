package nibble.checkpoint.gguf;

import java.util.Map;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.source.BadCheckpointException;

/** Metadata that changes what a model computes and that none of the supported architectures has; refused by name. */
final class OtherMetadata {
    /** Keys behind the architecture's name, and the value with which a model is what it is without the key. */
    private static final Map<String, Double> NEUTRAL = Map.ofEntries(
            Map.entry("logit_scale", 1.0),
            Map.entry("residual_scale", 1.0),
            Map.entry("embedding_scale", 1.0),
            Map.entry("attention.scale", 0.0),
            Map.entry("attn_logit_softcapping", 0.0),
            Map.entry("final_logit_softcapping", 0.0),
            Map.entry("attention.clamp_kqv", 0.0),
            Map.entry("attention.max_alibi_bias", 0.0),
            Map.entry("rope.scaling.attn_factor", 1.0),
            Map.entry("rope.scaling.alpha", 0.0),
            Map.entry("nextn_predict_layers", 0.0));

    private OtherMetadata() {}

    /** @throws BadCheckpointException naming the first key with a value that would matter */
    static void refuse(GgufMetadata metadata, Architecture architecture) {
        NEUTRAL.forEach((name, neutral) -> {
            String key = architecture.ggufName() + "." + name;
            boolean read = architecture.gguf().keys().contains(name)
                    || (architecture.turnsPartly() || architecture.scalesByLength())
                            && name.equals("rope.scaling.attn_factor");
            metadata.number(key)
                    .filter(value -> !read && !value.equals(neutral))
                    .ifPresent(value -> {
                        throw new BadCheckpointException(
                                metadata.file(),
                                "metadata key " + key + " is " + value + ", which is not supported; supported: "
                                        + neutral + " or none");
                    });
        });
        String causal = architecture.ggufName() + ".attention.causal";
        if (!metadata.flag(causal).orElse(true)) {
            throw new BadCheckpointException(
                    metadata.file(),
                    "metadata key " + causal + " is false: an encoder, which is not supported; supported: decoders");
        }
    }
}
