package nibble.checkpoint.model;

import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.source.ConfigKeys;

/** Holds Llama and what differs from it by windows alone. SmolLM is a Llama with tied embeddings. */
public final class LlamaFamily {
    static final GgufTraits GGUF = new GgufTraits("llama").withNeighbours().withAllBiases();

    public static final Architecture LLAMA =
            new Architecture("LlamaForCausalLM", "llama", GGUF, new ConfigDefaults(2048, List.of(1), List.of(2))) {
                @Override
                boolean isNamed(String name) {
                    // The first conversions of Llama 1 spell it so.
                    return super.isNamed(name) || name.equals("LLaMAForCausalLM");
                }

                @Override
                Set<String> ownKeys() {
                    return Set.of("mlp_bias");
                }
            };

    /** Attention may see a window of the last tokens only. */
    public static final Architecture MISTRAL =
            new Architecture(
                    "MistralForCausalLM",
                    "mistral",
                    GGUF,
                    new ConfigDefaults(131_072, List.of(1), List.of(2)).withKvHeads(8)) {
                @Override
                Optional<Integer> window(ConfigKeys keys) {
                    return windowOr(keys, 4096);
                }
            };

    /** Rope in three layers of four; perhaps a window in those without. */
    public static final Architecture SMOLLM3 =
            new Architecture(
                    "SmolLM3ForCausalLM",
                    "smollm3",
                    new GgufTraits("smollm3").withNeighbours().withRopelessEvery(4),
                    new ConfigDefaults(32_768, List.of(128_000), List.of(128_001))
                            .withKvHeads(4)
                            .withTiedEmbeddings()) {
                @Override
                Set<String> ownKeys() {
                    return Set.of("mlp_bias", "no_rope_layers", "no_rope_layer_interval");
                }

                @Override
                boolean hasRope(ConfigKeys keys, int layer) {
                    List<Integer> rope = keys.integers("no_rope_layers", 0, 1);
                    if (rope.isEmpty()) {
                        int interval = keys.integerIfPresent("no_rope_layer_interval", 1, Integer.MAX_VALUE)
                                .orElse(4);
                        return (layer + 1) % interval != 0;
                    }
                    if (layer >= rope.size()) {
                        throw keys.wrong("no_rope_layers", keys.json().get("no_rope_layers"), "one number a layer");
                    }
                    return rope.get(layer) == 1;
                }

                @Override
                Optional<Integer> window(ConfigKeys keys) {
                    return keys.flag("use_sliding_window", false)
                            ? keys.integerIfPresent(WINDOW, 1, Integer.MAX_VALUE)
                            : Optional.empty();
                }

                @Override
                boolean slides(ConfigKeys keys, int layer) {
                    return !hasRope(keys, layer);
                }

                @Override
                double theta(String kind) {
                    return 2e6;
                }
            };

    /** Biases of q, k and v, and of o by a key of its own; heads of a width of their own. */
    public static final Architecture SEED_OSS =
            new Architecture(
                    "SeedOssForCausalLM",
                    "seed_oss",
                    "seed_oss",
                    new ConfigDefaults(524_288, List.of(0), List.of(2))
                            .withHeadDim(128)
                            .withKvHeads(8)) {
                @Override
                Set<Linear> biases(ConfigKeys keys) {
                    Set<Linear> biases = EnumSet.noneOf(Linear.class);
                    biases.addAll(
                            keys.flag("attention_bias", true) ? List.of(Linear.Q, Linear.K, Linear.V) : List.of());
                    biases.addAll(keys.flag("attention_out_bias", false) ? List.of(Linear.O) : List.of());
                    return biases;
                }

                @Override
                public String ggufNorm(LayerNorm norm) {
                    return norm == LayerNorm.MLP_IN ? "post_attention_norm" : super.ggufNorm(norm);
                }
            };

    static final List<Architecture> ALL = List.of(LLAMA, MISTRAL, SMOLLM3, SEED_OSS);

    private LlamaFamily() {}
}
