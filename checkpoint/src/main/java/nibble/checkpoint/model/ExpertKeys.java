package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.IntFunction;
import nibble.checkpoint.model.Experts.Choice;
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

    /** DeepSeek's name. */
    private static final String ROUTED = "n_routed_experts";

    static final String SCORES = "scoring_func";
    static final String SIGMOID = "sigmoid";
    static final String METHOD = "topk_method";
    static final String CORRECTED = "noaux_tc";
    private static final String GROUPS = "n_group";
    private static final String CHOSEN_GROUPS = "topk_group";

    private static final String STEP = "interleave_moe_layer_step";
    private static final String COUNT = "num_experts";
    private static final String PER_TOKEN = "num_experts_per_tok";

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
                        keys.integerIfPresent(PER_TOKEN, 1, MOST).orElse(2),
                        keys.integer("intermediate_size", 1, MOST_WIDTH),
                        Choice.ofAll(true),
                        Shared.NONE,
                        Set.of(),
                        Names.MIXTRAL));
    }

    /**
     * Phi-3.5-MoE's: {@code intermediate_size} is the width of an expert, and the sparse mixer is made for two.
     * transformers and vLLM take two whatever the config says.
     */
    static Experts phi(ConfigKeys keys) {
        int chosen = keys.integerIfPresent(PER_TOKEN, 1, MOST).orElse(2);
        only(keys, PER_TOKEN, chosen == 2, "2");
        double margin = keys.numberIfPresent("router_jitter_noise", 0, 1e6)
                .map(noise -> 2 * noise)
                .orElse(Choice.PHI_MARGIN);
        return checked(
                keys,
                LOCAL_COUNT,
                new Experts(
                        keys.integerIfPresent(LOCAL_COUNT, 1, MOST).orElse(16),
                        chosen,
                        keys.integer("intermediate_size", 1, MOST_WIDTH),
                        Choice.mixed(margin),
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
                                keys.integerIfPresent(PER_TOKEN, 1, MOST)
                                        .or(() -> keys.integerIfPresent("experts_per_token", 1, MOST))
                                        .orElse(4),
                                keys.integer("intermediate_size", 1, MOST_WIDTH),
                                Choice.ofAll(true),
                                Shared.NONE,
                                Set.of(),
                                Names.GPT_OSS)
                        .withBiases());
    }

    /**
     * Llama 4's: {@code intermediate_size} is the width of an expert, and of the shared one. vLLM and llama.cpp know
     * the step alone, so a list of layers must be what the step says.
     */
    static Optional<Experts> llama4(ConfigKeys keys) {
        int layers = keys.integer("num_hidden_layers", 1, Architecture.MOST_LAYERS);
        int step = keys.integerIfPresent(STEP, 1, Architecture.MOST_LAYERS).orElse(1);
        Set<Integer> dense = new TreeSet<>();
        List<Integer> mixed = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            if ((layer + 1) % step != 0) {
                dense.add(layer);
            } else {
                mixed.add(layer);
            }
        }
        Optional<JsonNode> stated = keys.value("moe_layers");
        if (stated.isPresent() && !mixed.equals(keys.integers("moe_layers", 0, Architecture.MOST_LAYERS))) {
            throw new BadCheckpointException(
                    keys.file(),
                    "moe_layers " + ConfigKeys.shown(stated.get()) + " are not the layers of " + STEP + " " + step
                            + ", which other loaders go by; take the model's original config.json");
        }
        if (mixed.isEmpty()) {
            return Optional.empty();
        }
        int width = keys.integerIfPresent("intermediate_size", 1, MOST_WIDTH).orElse(8192);
        return Optional.of(checked(
                keys,
                LOCAL_COUNT,
                new Experts(
                        keys.integerIfPresent(LOCAL_COUNT, 1, MOST).orElse(16),
                        keys.integerIfPresent(PER_TOKEN, 1, MOST).orElse(1),
                        width,
                        Choice.ofInputs(),
                        new Shared(width, false),
                        dense,
                        Names.LLAMA4)));
    }

    /** OLMoE's: {@code intermediate_size} is the width of an expert. */
    static Experts olmoe(ConfigKeys keys) {
        String key = keys.value(COUNT).isPresent() ? COUNT : LOCAL_COUNT;
        return checked(
                keys,
                key,
                new Experts(
                        keys.integerIfPresent(key, 1, MOST).orElse(64),
                        keys.integerIfPresent(PER_TOKEN, 1, MOST).orElse(8),
                        keys.integer("intermediate_size", 1, MOST_WIDTH),
                        Choice.ofAll(keys.flag("norm_topk_prob", false)),
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
                        keys.integerIfPresent(PER_TOKEN, 1, MOST).orElse(defaults.chosen()),
                        keys.integerIfPresent("moe_intermediate_size", 1, MOST_WIDTH)
                                .orElse(defaults.width()),
                        Choice.ofAll(keys.flag("norm_topk_prob", false)),
                        new Shared(shared, shared > 0),
                        dense,
                        Names.QWEN)));
    }

    /**
     * What a version of DeepSeek assumes for absent keys.
     *
     * @param dense first layers without experts
     * @param shared experts; 0 for none
     */
    record Deepseek(int count, int chosen, int width, int dense, int shared) {
        static final Deepseek V2 = new Deepseek(64, 0, 1407, 0, 2);
        static final Deepseek V3 = new Deepseek(256, 8, 2048, 3, 1);
    }

    /** DeepSeek-V2's. transformers does not know {@code norm_topk_prob} there, and other loaders do. */
    static Optional<Experts> deepseek2(ConfigKeys keys) {
        return deepseek(keys, Deepseek.V2, count -> {
            only(keys, "norm_topk_prob", !keys.flag("norm_topk_prob", false), "false");
            only(keys, SCORES, keys.text(SCORES).orElse("softmax").equals("softmax"), "softmax");
            return greedy(keys, count);
        });
    }

    /** DeepSeek-V3's, by sigmoids. */
    static Optional<Experts> deepseek3(ConfigKeys keys) {
        return deepseek(keys, Deepseek.V3, count -> {
            only(keys, SCORES, keys.text(SCORES).orElse(SIGMOID).equals(SIGMOID), SIGMOID);
            only(keys, METHOD, keys.text(METHOD).orElse(CORRECTED).equals(CORRECTED), CORRECTED);
            int groups = keys.integerIfPresent(GROUPS, 1, MOST).orElse(8);
            int chosen = keys.integerIfPresent(CHOSEN_GROUPS, 1, MOST).orElse(4);
            requireGroups(keys, count, groups, chosen, 2);
            return Choice.corrected(keys.flag("norm_topk_prob", true), factor(keys, 2.5), groups, chosen);
        });
    }

    /**
     * DeepSeek's: the first layers go without experts, and several shared experts are one of their width together.
     * transformers does not know {@code moe_layer_freq}, and other loaders do.
     */
    private static Optional<Experts> deepseek(ConfigKeys keys, Deepseek defaults, IntFunction<Choice> choice) {
        int layers = keys.integer("num_hidden_layers", 1, Architecture.MOST_LAYERS);
        int dense = keys.integerIfPresent("first_k_dense_replace", 0, Integer.MAX_VALUE)
                .orElse(defaults.dense());
        Optional<Integer> count = keys.json().has(ROUTED)
                ? keys.integerIfPresent(ROUTED, 1, MOST)
                : Optional.of(keys.integerIfPresent(COUNT, 1, MOST).orElse(defaults.count()));
        if (count.isEmpty() || dense >= layers) {
            return Optional.empty();
        }
        only(
                keys,
                "moe_layer_freq",
                keys.integerIfPresent("moe_layer_freq", 1, 10_000).orElse(1) == 1,
                "1");
        int width =
                keys.integerIfPresent("moe_intermediate_size", 1, MOST_WIDTH).orElse(defaults.width());
        int shared = keys.json().has("n_shared_experts")
                ? keys.integerIfPresent("n_shared_experts", 0, 1 << 10).orElse(0)
                : defaults.shared();
        if ((long) shared * width > MOST_WIDTH) {
            throw new BadCheckpointException(
                    keys.file(),
                    "n_shared_experts " + shared + " of width " + width + " are wider than " + MOST_WIDTH
                            + " together; take the model's original config.json");
        }
        Set<Integer> without = new TreeSet<>();
        for (int layer = 0; layer < dense; layer++) {
            without.add(layer);
        }
        return Optional.of(checked(
                keys,
                ROUTED,
                new Experts(
                        count.get(),
                        defaults.chosen() == 0
                                ? keys.integer(PER_TOKEN, 1, MOST)
                                : keys.integerIfPresent(PER_TOKEN, 1, MOST).orElse(defaults.chosen()),
                        width,
                        choice.apply(count.get()),
                        new Shared(shared * width, false),
                        without,
                        Names.DEEPSEEK)));
    }

    private static double factor(ConfigKeys keys, double otherwise) {
        return keys.numberIfPresent("routed_scaling_factor", Double.MIN_NORMAL, 1e6)
                .orElse(otherwise);
    }

    private static Choice greedy(ConfigKeys keys, int count) {
        double factor = factor(keys, 1);
        String method = keys.text(METHOD).orElse("greedy");
        if (method.equals("greedy")) {
            return new Choice(false, factor, 1, 1);
        }
        only(keys, METHOD, method.equals("group_limited_greedy"), "greedy, group_limited_greedy");
        int groups = keys.integer(GROUPS, 1, MOST);
        int chosen = keys.integer(CHOSEN_GROUPS, 1, MOST);
        requireGroups(keys, count, groups, chosen, 1);
        return new Choice(false, factor, groups, chosen);
    }

    /** @param least experts of a group */
    private static void requireGroups(ConfigKeys keys, int count, int groups, int chosen, int least) {
        int each = keys.integerIfPresent(PER_TOKEN, 1, MOST).orElse(Deepseek.V3.chosen());
        if (count % groups != 0
                || count / groups < least
                || chosen > groups
                || (long) each * groups > (long) chosen * count) {
            throw new BadCheckpointException(
                    keys.file(),
                    "n_group " + groups + ", topk_group " + chosen + " and num_experts_per_tok " + each + " of " + count
                            + " experts do not fit together; take the model's original config.json");
        }
    }

    /** Refuses a key's value unless it is one that all loaders understand alike. */
    private static void only(ConfigKeys keys, String key, boolean supported, String words) {
        if (!supported) {
            throw new BadCheckpointException(
                    keys.file(),
                    key + " " + ConfigKeys.shown(keys.value(key).orElseThrow()) + " is not supported; supported: "
                            + words);
        }
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
