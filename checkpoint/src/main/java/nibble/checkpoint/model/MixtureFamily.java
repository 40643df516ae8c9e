package nibble.checkpoint.model;

import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.source.ConfigKeys;

/** Holds the mixtures of experts. */
public final class MixtureFamily {
    /** Mistral with experts: all layers have them, and the weights of the chosen ones have the sum 1. */
    public static final Architecture MIXTRAL =
            new Mixture(
                    "MixtralForCausalLM",
                    "mixtral",
                    LlamaFamily.GGUF,
                    new ConfigDefaults(131_072, List.of(1), List.of(2)).withKvHeads(8)) {
                @Override
                Optional<Integer> window(ConfigKeys keys) {
                    return keys.integerIfPresent(WINDOW, 1, Integer.MAX_VALUE);
                }

                @Override
                public Optional<Experts.Names> expertNames() {
                    return Optional.of(Experts.Names.MIXTRAL);
                }

                @Override
                Optional<Experts> experts(ConfigKeys keys) {
                    return Optional.of(ExpertKeys.mixtral(keys));
                }
            };

    /** Qwen2 with experts, beside which a gated expert sees every token; perhaps in some layers only. */
    public static final Architecture QWEN2_MOE =
            new Mixture(
                    "Qwen2MoeForCausalLM",
                    "qwen2_moe",
                    new GgufTraits("qwen2moe"),
                    new ConfigDefaults(32_768, List.of(), List.of()).withKvHeads(16)) {
                @Override
                Set<Linear> biases(ConfigKeys keys) {
                    return keys.flag("qkv_bias", true)
                            ? EnumSet.of(Linear.Q, Linear.K, Linear.V)
                            : EnumSet.noneOf(Linear.class);
                }

                @Override
                Optional<Integer> window(ConfigKeys keys) {
                    return QwenFamily.WINDOWED.window(keys);
                }

                @Override
                boolean slides(ConfigKeys keys, int layer) {
                    return QwenFamily.WINDOWED.slides(keys, layer);
                }

                @Override
                Optional<Experts> experts(ConfigKeys keys) {
                    return ExpertKeys.qwen(keys, ExpertKeys.QWEN2);
                }
            };

    /** Qwen3 with experts; perhaps in some layers only. */
    public static final Architecture QWEN3_MOE =
            new Mixture(
                    "Qwen3MoeForCausalLM",
                    "qwen3_moe",
                    new GgufTraits("qwen3moe"),
                    new ConfigDefaults(32_768, List.of(), List.of()).withKvHeads(4)) {
                @Override
                public HeadNorm headNorm() {
                    return HeadNorm.EACH_HEAD;
                }

                @Override
                Optional<Integer> window(ConfigKeys keys) {
                    return keys.flag("use_sliding_window", false)
                            ? keys.integerIfPresent(WINDOW, 1, Integer.MAX_VALUE)
                            : Optional.empty();
                }

                @Override
                Optional<Experts> experts(ConfigKeys keys) {
                    return ExpertKeys.qwen(keys, ExpertKeys.QWEN3);
                }
            };

    /** OLMo with experts: norms over all heads together, in front of attention and experts a norm as Llama has it. */
    public static final Architecture OLMOE =
            new Mixture(
                    "OlmoeForCausalLM",
                    "olmoe",
                    new GgufTraits("olmoe"),
                    new ConfigDefaults(4096, List.of(), List.of(50_279))) {
                @Override
                public HeadNorm headNorm() {
                    return HeadNorm.ALL_HEADS;
                }

                @Override
                Optional<Experts> experts(ConfigKeys keys) {
                    return Optional.of(ExpertKeys.olmoe(keys));
                }
            };

    static final List<Architecture> ALL = List.of(MIXTRAL, QWEN2_MOE, QWEN3_MOE, OLMOE);

    private MixtureFamily() {}

    private static class Mixture extends Architecture {
        Mixture(String className, String modelType, GgufTraits gguf, ConfigDefaults defaults) {
            super(className, modelType, gguf, defaults);
        }

        @Override
        public boolean mixesExperts() {
            return true;
        }

        @Override
        public Optional<Experts.Names> expertNames() {
            return Optional.of(Experts.Names.QWEN);
        }
    }
}
