package nibble.checkpoint.model;

import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.layer.Activation;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/** Holds gpt-oss, a mixture of experts whose attention has sinks. */
public final class GptOssFamily {
    /** Every second layer has a window, all linears have biases, and gate and up are clamped. */
    public static final Architecture GPT_OSS =
            new Architecture(
                    "GptOssForCausalLM",
                    "gpt_oss",
                    new GgufTraits("gpt-oss").withAllEvery(2).withAllBiases(),
                    new ConfigDefaults(131_072, List.of(), List.of())
                            .withHeadDim(64)
                            .withKvHeads(8)) {
                private static final int WINDOW_OF_CONFIG = 128;
                private static final String LIMIT = "swiglu_limit";

                @Override
                public boolean mixesExperts() {
                    return true;
                }

                @Override
                public boolean hasSinks() {
                    return true;
                }

                /** Experts as published: {@code *_blocks} and {@code *_scales}. */
                @Override
                boolean readsAsDense(String method) {
                    return method.equals("mxfp4");
                }

                @Override
                public Optional<String> expertsNote() {
                    return Optional.of("transformers 5.17 does not load gpt-oss's experts from tensors of their own,"
                        + " as this has them: it computes with random ones. vLLM's loader has no names for them"
                        + " either. Nibble runs this; for other programs write 16 bits (convert --format safetensors)"
                        + " or GGUF");
                }

                @Override
                public Activation activation() {
                    return Activation.CLAMPED_SWIGLU;
                }

                @Override
                void requireActivation(ConfigKeys keys) {
                    super.requireActivation(keys);
                    Optional<Double> limit = keys.numberIfPresent(LIMIT, 0, 1e9);
                    if (limit.filter(value -> value != Activation.CLAMPED_LIMIT).isPresent()) {
                        throw new BadCheckpointException(
                                keys.file(),
                                LIMIT + " " + limit.get() + " is not supported; supported: "
                                        + Activation.CLAMPED_LIMIT);
                    }
                }

                @Override
                Set<Linear> biases(ConfigKeys keys) {
                    return keys.flag("attention_bias", true)
                            ? EnumSet.of(Linear.Q, Linear.K, Linear.V, Linear.O)
                            : EnumSet.noneOf(Linear.class);
                }

                @Override
                public Optional<Experts.Names> expertNames() {
                    return Optional.of(Experts.Names.GPT_OSS);
                }

                @Override
                Optional<Experts> experts(ConfigKeys keys) {
                    return Optional.of(ExpertKeys.gptOss(keys));
                }

                @Override
                Optional<Integer> window(ConfigKeys keys) {
                    return windowOr(keys, WINDOW_OF_CONFIG);
                }

                @Override
                boolean slides(ConfigKeys keys, int layer) {
                    return layer % 2 == 0;
                }

                @Override
                double theta(String kind) {
                    return 150_000;
                }

                @Override
                Rope.Scaling scaling() {
                    return new Rope.Yarn(32, 0.1 * Math.log(32) + 1, 32, 1, 4096, false);
                }

                @Override
                public String ggufNorm(LayerNorm norm) {
                    return norm == LayerNorm.MLP_IN ? "post_attention_norm" : super.ggufNorm(norm);
                }
            };

    static final List<Architecture> ALL = List.of(GPT_OSS);

    private GptOssFamily() {}
}
