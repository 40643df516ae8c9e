package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/**
 * Lists the decoders that are supported, each by what tells it from Llama: how its tensors are named, what stands
 * beside the seven linears, and what its config means where it says nothing. SmolLM is a Llama with tied embeddings.
 */
public enum Architecture {
    LLAMA("LlamaForCausalLM", "llama", "llama", new ConfigDefaults(2048, List.of(1), List.of(2))) {
        @Override
        boolean isNamed(String name) {
            // The first conversions of Llama 1 spell it so.
            return super.isNamed(name) || name.equals("LLaMAForCausalLM");
        }
    },

    /** Attention may see a window of the last tokens only. */
    MISTRAL(
            "MistralForCausalLM",
            "mistral",
            "llama",
            new ConfigDefaults(131_072, List.of(1), List.of(2)).withKvHeads(8)) {
        @Override
        Optional<Integer> window(ConfigKeys keys) {
            // An absent key is transformers' default, null says that there is none.
            return keys.json().has(WINDOW) ? keys.integerIfPresent(WINDOW, 1, Integer.MAX_VALUE) : Optional.of(4096);
        }
    },

    /** Biases of the query, key and value projections. */
    QWEN2("Qwen2ForCausalLM", "qwen2", "qwen2", new ConfigDefaults(32_768, List.of(), List.of()).withKvHeads(32)) {
        @Override
        Set<Linear> biases(ConfigKeys keys) {
            return EnumSet.of(Linear.Q, Linear.K, Linear.V);
        }

        @Override
        Optional<Integer> window(ConfigKeys keys) {
            return laterLayersWindow(keys);
        }
    },

    /** An RMSNorm over each query and key head before rope; heads of a width of their own. */
    QWEN3(
            "Qwen3ForCausalLM",
            "qwen3",
            "qwen3",
            new ConfigDefaults(32_768, List.of(), List.of()).withHeadDim(128).withKvHeads(32)) {
        @Override
        public boolean normalizesHeads() {
            return true;
        }

        @Override
        Optional<Integer> window(ConfigKeys keys) {
            return laterLayersWindow(keys);
        }
    },

    /** Query, key and value projections in one tensor, gate and up in another; perhaps a window. */
    PHI3("Phi3ForCausalLM", "phi3", "phi3", new ConfigDefaults(4096, List.of(1), List.of(32_000))) {
        private static final List<LinearModule> FUSED = List.of(
                new LinearModule("self_attn.qkv_proj", List.of(Linear.Q, Linear.K, Linear.V)),
                LinearModule.of(Linear.O),
                new LinearModule("mlp.gate_up_proj", List.of(Linear.GATE, Linear.UP)),
                LinearModule.of(Linear.DOWN));

        @Override
        public List<LinearModule> modules() {
            return FUSED;
        }

        @Override
        Set<Linear> biases(ConfigKeys keys) {
            return EnumSet.noneOf(Linear.class);
        }

        @Override
        Optional<Integer> window(ConfigKeys keys) {
            return keys.integerIfPresent(WINDOW, 1, Integer.MAX_VALUE);
        }
    },

    /** Norms stored less one, embeddings times √hidden, GELU in the MLP, embeddings tied. */
    GEMMA(
            "GemmaForCausalLM",
            "gemma",
            "gemma",
            new ConfigDefaults(8192, List.of(2), List.of(1))
                    .withHeadDim(256)
                    .withKvHeads(16)
                    .withTiedEmbeddings()) {
        @Override
        public float normOffset() {
            return 1f;
        }

        @Override
        public boolean scalesEmbedding() {
            return true;
        }

        @Override
        public Activation activation() {
            return Activation.GELU_TANH;
        }

        @Override
        void requireActivation(ConfigKeys keys) {
            // The published files say "gelu" in hidden_act by mistake. The models are trained with the tanh form, which
            // llama.cpp and vLLM take; transformers 5 takes the word, and its logits differ a little.
            String name = keys.text("hidden_activation")
                    .or(() -> keys.text("hidden_act"))
                    .orElse("gelu_pytorch_tanh");
            if (!name.equals("gelu_pytorch_tanh") && !name.equals("gelu")) {
                throw new BadCheckpointException(
                        keys.file(),
                        "activation \"" + name + "\" is not supported; supported in Gemma: gelu_pytorch_tanh");
            }
        }
    },

    /** Mistral with experts: all layers have them, and the weights of the chosen ones have the sum 1. */
    MIXTRAL(
            "MixtralForCausalLM",
            "mixtral",
            "llama",
            new ConfigDefaults(131_072, List.of(1), List.of(2)).withKvHeads(8)) {
        @Override
        Optional<Integer> window(ConfigKeys keys) {
            return keys.integerIfPresent(WINDOW, 1, Integer.MAX_VALUE);
        }

        @Override
        Optional<Experts> experts(ConfigKeys keys) {
            return Optional.of(ExpertKeys.mixtral(keys));
        }
    },

    /** Qwen2 with experts, beside which a gated expert sees every token; perhaps in some layers only. */
    QWEN2_MOE(
            "Qwen2MoeForCausalLM",
            "qwen2_moe",
            "qwen2moe",
            new ConfigDefaults(32_768, List.of(), List.of()).withKvHeads(16)) {
        @Override
        Set<Linear> biases(ConfigKeys keys) {
            return keys.flag("qkv_bias", true)
                    ? EnumSet.of(Linear.Q, Linear.K, Linear.V)
                    : EnumSet.noneOf(Linear.class);
        }

        @Override
        Optional<Integer> window(ConfigKeys keys) {
            return laterLayersWindow(keys);
        }

        @Override
        Optional<Experts> experts(ConfigKeys keys) {
            return ExpertKeys.qwen(keys, ExpertKeys.QWEN2);
        }
    },

    /** Qwen3 with experts; perhaps in some layers only. */
    QWEN3_MOE(
            "Qwen3MoeForCausalLM",
            "qwen3_moe",
            "qwen3moe",
            new ConfigDefaults(32_768, List.of(), List.of()).withKvHeads(4)) {
        @Override
        public boolean normalizesHeads() {
            return true;
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

    private static final Set<Architecture> MIXTURES = EnumSet.of(MIXTRAL, QWEN2_MOE, QWEN3_MOE);

    private static final String WINDOW = "sliding_window";

    /** Why some well-known architectures are none of these. */
    private static final Map<String, String> REASONS = Map.ofEntries(
            Map.entry("PhimoeForCausalLM", "mixture of experts"),
            Map.entry("DeepseekForCausalLM", "mixture of experts"),
            Map.entry("DeepseekV2ForCausalLM", "mixture of experts, latent attention"),
            Map.entry("DeepseekV3ForCausalLM", "mixture of experts, latent attention"),
            Map.entry("Llama4ForCausalLM", "mixture of experts, layers without rope"),
            Map.entry("Llama4ForConditionalGeneration", "mixture of experts, layers without rope"),
            Map.entry("GptOssForCausalLM", "mixture of experts, attention sinks"),
            Map.entry("SmolLM3ForCausalLM", "layers without rope"),
            Map.entry("Gemma2ForCausalLM", "capped logits, norms behind the linears"),
            Map.entry("Gemma3ForCausalLM", "windows in some layers, norms behind the linears"),
            Map.entry("Gemma3ForConditionalGeneration", "windows in some layers, norms behind the linears"),
            Map.entry("PhiForCausalLM", "LayerNorm, biases of all linears"),
            Map.entry("Phi4MMForCausalLM", "several modalities"),
            Map.entry("CohereForCausalLM", "LayerNorm, attention and MLP side by side"),
            Map.entry("FalconForCausalLM", "LayerNorm, attention and MLP side by side"),
            Map.entry("GPTNeoXForCausalLM", "LayerNorm, attention and MLP side by side"));

    private static final List<LinearModule> SEVEN =
            Stream.of(Linear.values()).map(LinearModule::of).toList();

    private final String className;
    private final String modelType;
    private final String ggufName;
    private final ConfigDefaults defaults;

    Architecture(String className, String modelType, String ggufName, ConfigDefaults defaults) {
        this.className = className;
        this.modelType = modelType;
        this.ggufName = ggufName;
        this.defaults = defaults;
    }

    /** Returns transformers' name of the class, in {@code architectures} of config.json. */
    public String className() {
        return className;
    }

    /** Whether {@code architectures} means this one: by its class, or the class of its decoder without a head. */
    boolean isNamed(String name) {
        return name.equals(className) || name.equals(className.replace("ForCausalLM", "Model"));
    }

    /** Returns {@code model_type} of config.json. */
    public String modelType() {
        return modelType;
    }

    /** Returns {@code general.architecture} of a GGUF file, with which its metadata keys begin. */
    public String ggufName() {
        return ggufName;
    }

    /** What transformers assumes where a config does not say. */
    ConfigDefaults defaults() {
        return defaults;
    }

    /** Returns the linears of a decoder layer as they are stored, in canonical order. */
    public List<LinearModule> modules() {
        return SEVEN;
    }

    /** Returns whether each query and key head passes an RMSNorm before rope. */
    public boolean normalizesHeads() {
        return false;
    }

    /** Returns the number that must be added to the stored weight of a norm to get its gain: 0, or 1. */
    public float normOffset() {
        return 0f;
    }

    /** Returns whether embeddings are multiplied by √hidden on their way into the first layer. */
    public boolean scalesEmbedding() {
        return false;
    }

    /** Returns whether layers may have experts in the place of one MLP. */
    public boolean mixesExperts() {
        return MIXTURES.contains(this);
    }

    /** Returns the activation of the MLP's gate. */
    public Activation activation() {
        return Activation.SILU;
    }

    /** The linears that have a bias. */
    Set<Linear> biases(ConfigKeys keys) {
        return keys.flag("attention_bias", false)
                ? EnumSet.of(Linear.Q, Linear.K, Linear.V, Linear.O)
                : EnumSet.noneOf(Linear.class);
    }

    /** The experts that layers have; empty for one MLP in all. */
    Optional<Experts> experts(ConfigKeys keys) {
        return Optional.empty();
    }

    /** The last positions that a query sees, its own included; empty for all. */
    Optional<Integer> window(ConfigKeys keys) {
        return Optional.empty();
    }

    /**
     * {@link #window} under {@code layer_types}, which some configs list beside it.
     *
     * @throws BadCheckpointException if layers differ
     */
    final Optional<Integer> windowOfAllLayers(ConfigKeys keys) {
        Optional<Integer> window = window(keys);
        Optional<JsonNode> types = keys.value("layer_types");
        if (types.isEmpty() || types.get().isEmpty()) {
            return window;
        }
        Set<String> kinds = new TreeSet<>();
        types.get().forEach(kind -> kinds.add(kind.asText()));
        if (kinds.equals(Set.of("full_attention"))) {
            return Optional.empty();
        }
        if (!kinds.equals(Set.of("sliding_attention")) || window.isEmpty()) {
            throw new BadCheckpointException(
                    keys.file(),
                    "layer_types " + kinds + " are not supported; supported in " + className
                            + ": the same attention in all layers");
        }
        return window;
    }

    void requireActivation(ConfigKeys keys) {
        String name = keys.text("hidden_act").orElse("silu");
        // One function under two names in PyTorch's history.
        if (!name.equals("silu") && !name.equals("swish")) {
            throw new BadCheckpointException(
                    keys.file(), "hidden_act \"" + name + "\" is not supported; supported: silu");
        }
    }

    /** Qwen's window, which holds from layer {@code max_window_layers} on: supported only where that is none. */
    private static Optional<Integer> laterLayersWindow(ConfigKeys keys) {
        if (!keys.flag("use_sliding_window", false)) {
            return Optional.empty();
        }
        int layers = keys.integer("num_hidden_layers", 1, 10_000);
        int full =
                keys.integerIfPresent("max_window_layers", 0, Integer.MAX_VALUE).orElse(28);
        if (full >= layers) {
            return Optional.empty();
        }
        if (full > 0) {
            throw new BadCheckpointException(
                    keys.file(),
                    "use_sliding_window true with max_window_layers " + full + " of " + layers
                            + " layers is not supported; supported: a window in all layers or in none");
        }
        return keys.integerIfPresent(WINDOW, 1, Integer.MAX_VALUE);
    }

    /**
     * The architecture that a config names.
     *
     * @throws BadCheckpointException if it names none, or one that is not supported
     */
    static Architecture of(ConfigKeys keys) {
        List<String> names = classNames(keys);
        Optional<String> type = keys.text("model_type");
        if (names.isEmpty() && type.isEmpty()) {
            throw keys.missing("architectures");
        }
        for (Architecture architecture : values()) {
            if ((names.isEmpty() || names.stream().anyMatch(architecture::isNamed))
                    && architecture.modelType.equals(type.orElse(architecture.modelType))) {
                return architecture;
            }
        }
        Optional<String> name = names.stream().findFirst();
        String what = name.map(n -> "architecture \"" + n + "\"").orElse("");
        String reason = name.map(REASONS::get).map(r -> " (" + r + ")").orElse("");
        String known = name.filter(n -> Stream.of(values()).noneMatch(a -> a.isNamed(n)))
                        .isPresent()
                ? reason
                : type.map(t -> (name.isPresent() ? " with " : "") + "model_type \"" + t + "\"")
                        .orElse("");
        throw new BadCheckpointException(
                keys.file(), what + known + " is not yet supported; supported: " + supported());
    }

    /**
     * Returns the architecture that a GGUF file of this name holds: of several, the one with the fewest differences.
     *
     * @param ggufName {@code general.architecture}
     */
    public static Optional<Architecture> ofGguf(String ggufName) {
        return Stream.of(values())
                .filter(architecture -> architecture.ggufName.equals(ggufName))
                .findFirst();
    }

    private static String supported() {
        return Stream.of(values()).map(Architecture::className).collect(Collectors.joining(", "));
    }

    /**
     * Loaders go by {@code model_type} where the list is absent or empty, and by the name they know where it has
     * several.
     */
    private static List<String> classNames(ConfigKeys keys) {
        Optional<JsonNode> architectures = keys.value("architectures");
        if (architectures.isEmpty()) {
            return List.of();
        }
        List<String> names = new ArrayList<>();
        for (JsonNode name : architectures.get()) {
            if (!name.isTextual()) {
                throw keys.wrong("architectures", architectures.get(), "a list of names, [\"LlamaForCausalLM\"]");
            }
            names.add(name.textValue());
        }
        if (!architectures.get().isArray()) {
            throw keys.wrong("architectures", architectures.get(), "a list of names, [\"LlamaForCausalLM\"]");
        }
        return names;
    }
}
