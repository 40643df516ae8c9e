package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import nibble.checkpoint.model.Experts.Names;
import nibble.checkpoint.model.Experts.Shared;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/** Reads what a config.json says of experts, with the defaults of transformers' config classes. */
final class ExpertKeys {
    private static final int MOST = Experts.MOST;
    private static final int MOST_WIDTH = 1 << 20;

    /**
     * What a class assumes for absent keys.
     *
     * @param shared {@code shared_expert_intermediate_size}; 0 for a class without such an expert
     */
    record Defaults(int count, int chosen, int width, int shared) {}

    static final Defaults QWEN2 = new Defaults(60, 4, 1408, 5632);
    static final Defaults QWEN3 = new Defaults(128, 8, 768, 0);

    private static final String COUNT = "num_experts";

    /** Mixtral's name, and what transformers 5 writes for Qwen3 too. */
    private static final String LOCAL_COUNT = "num_local_experts";

    private ExpertKeys() {}

    /** Mixtral's: {@code intermediate_size} is the width of an expert. */
    static Experts mixtral(ConfigKeys keys) {
        return checked(
                keys,
                LOCAL_COUNT,
                new Experts(
                        keys.integerIfPresent(LOCAL_COUNT, 1, MOST).orElse(8),
                        keys.integerIfPresent("num_experts_per_tok", 1, MOST).orElse(2),
                        keys.integer("intermediate_size", 1, MOST_WIDTH),
                        true,
                        Shared.NONE,
                        Set.of(),
                        Names.MIXTRAL));
    }

    /** gpt-oss's: {@code intermediate_size} is the width of an expert, and everything has a bias. */
    static Experts gptOss(ConfigKeys keys) {
        String key = keys.value(COUNT).isPresent() ? COUNT : LOCAL_COUNT;
        return checked(
                keys,
                key,
                new Experts(
                                keys.integerIfPresent(key, 1, MOST).orElse(128),
                                keys.integerIfPresent("num_experts_per_tok", 1, MOST)
                                        .or(() -> keys.integerIfPresent("experts_per_token", 1, MOST))
                                        .orElse(4),
                                keys.integer("intermediate_size", 1, MOST_WIDTH),
                                true,
                                Shared.NONE,
                                Set.of(),
                                Names.GPT_OSS)
                        .withBiases());
    }

    /** OLMoE's: {@code intermediate_size} is the width of an expert. */
    static Experts olmoe(ConfigKeys keys) {
        String key = keys.value(COUNT).isPresent() ? COUNT : LOCAL_COUNT;
        return checked(
                keys,
                key,
                new Experts(
                        keys.integerIfPresent(key, 1, MOST).orElse(64),
                        keys.integerIfPresent("num_experts_per_tok", 1, MOST).orElse(8),
                        keys.integer("intermediate_size", 1, MOST_WIDTH),
                        keys.flag("norm_topk_prob", false),
                        Shared.NONE,
                        Set.of(),
                        Names.QWEN));
    }

    /** Qwen's: layers may go without experts, by a list or by a step. */
    static Optional<Experts> qwen(ConfigKeys keys, Defaults defaults) {
        String key = keys.value(COUNT).isPresent() ? COUNT : LOCAL_COUNT;
        int count = keys.integerIfPresent(key, 0, MOST).orElse(defaults.count());
        int shared = defaults.shared() == 0
                ? 0
                : keys.integerIfPresent("shared_expert_intermediate_size", 1, MOST_WIDTH)
                        .orElse(defaults.shared());
        Set<Integer> dense = denseLayers(keys);
        if (count == 0 || dense.size() == keys.integer("num_hidden_layers", 1, Architecture.MOST_LAYERS)) {
            return Optional.empty();
        }
        return Optional.of(checked(
                keys,
                key,
                new Experts(
                        count,
                        keys.integerIfPresent("num_experts_per_tok", 1, MOST).orElse(defaults.chosen()),
                        keys.integerIfPresent("moe_intermediate_size", 1, MOST_WIDTH)
                                .orElse(defaults.width()),
                        keys.flag("norm_topk_prob", false),
                        new Shared(shared, shared > 0),
                        dense,
                        Names.QWEN)));
    }

    private static Experts checked(ConfigKeys keys, String count, Experts experts) {
        if (experts.chosen() > experts.count()) {
            throw new BadCheckpointException(
                    keys.file(),
                    "num_experts_per_tok " + experts.chosen() + " is more than " + count + " " + experts.count()
                            + "; take the model's original config.json");
        }
        int layers = keys.integer("num_hidden_layers", 1, Architecture.MOST_LAYERS)
                - experts.denseLayers().size();
        if ((long) layers * experts.count() > Experts.MOST_OF_ALL_LAYERS) {
            throw new BadCheckpointException(
                    keys.file(),
                    count + " " + experts.count() + " in each of " + layers + " layers; supported: "
                            + Experts.MOST_OF_ALL_LAYERS + " in all; take the model's original config.json");
        }
        return experts;
    }

    /** Layers that {@code mlp_only_layers} names, and those between the steps of {@code decoder_sparse_step}. */
    private static Set<Integer> denseLayers(ConfigKeys keys) {
        int layers = keys.integer("num_hidden_layers", 1, Architecture.MOST_LAYERS);
        int step = keys.integerIfPresent("decoder_sparse_step", 1, 10_000).orElse(1);
        Set<Integer> dense = new TreeSet<>();
        for (int layer = 0; layer < layers; layer++) {
            if ((layer + 1) % step != 0) {
                dense.add(layer);
            }
        }
        Optional<JsonNode> named = keys.value("mlp_only_layers");
        if (named.isPresent()) {
            if (!named.get().isArray()) {
                throw keys.wrong("mlp_only_layers", named.get(), "a list of numbers of layers, [0, 3]");
            }
            for (JsonNode layer : named.get()) {
                if (!layer.isInt() || layer.intValue() < 0) {
                    throw keys.wrong("mlp_only_layers", named.get(), "a list of numbers of layers, [0, 3]");
                }
                if (layer.intValue() < layers) {
                    dense.add(layer.intValue());
                }
            }
        }
        return dense;
    }
}
