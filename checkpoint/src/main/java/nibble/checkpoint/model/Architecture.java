package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.layer.Activation;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.Multipliers;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/**
 * Describes a kind of decoder: how its tensors are named, what stands beside the seven linears, and what its config
 * means where it says nothing. What this class says is true of Llama; a subclass overrides what differs. The families
 * ({@link LlamaFamily} and others) hold one instance a kind, and {@link Architectures} finds them.
 */
public class Architecture {
    /** Layers of a model: far above any. */
    public static final int MOST_LAYERS = 10_000;

    /** The key of the window. */
    static final String WINDOW = "sliding_window";

    /** The key that says whether the output projection has a bias. */
    static final String HEAD_BIAS = "lm_head_bias";

    private static final List<LinearModule> SEVEN =
            Linear.SEVEN.stream().map(LinearModule::of).toList();

    private final String className;
    private final String modelType;
    private final GgufTraits gguf;
    private final ConfigDefaults defaults;

    Architecture(String className, String modelType, GgufTraits gguf, ConfigDefaults defaults) {
        this.className = className;
        this.modelType = modelType;
        this.gguf = gguf;
        this.defaults = defaults;
    }

    /** Describes one of which llama.cpp knows nothing but its tensors. */
    Architecture(String className, String modelType, String ggufName, ConfigDefaults defaults) {
        this(className, modelType, new GgufTraits(ggufName), defaults);
    }

    /** Returns transformers' name of the class, in {@code architectures} of config.json. */
    public final String className() {
        return className;
    }

    /** Whether {@code architectures} means this one: by its class, or the class of its decoder without a head. */
    boolean isNamed(String name) {
        return name.equals(className) || name.equals(className.replace("ForCausalLM", "Model"));
    }

    /** Returns {@code model_type} of config.json. */
    public final String modelType() {
        return modelType;
    }

    /** Whether {@code model_type} means this one. */
    boolean isType(String name) {
        return name.equals(modelType);
    }

    /** Whether a config means this one of several that have its class and {@code model_type}. */
    boolean fits(ConfigKeys keys) {
        return true;
    }

    /** Returns {@code general.architecture} of a GGUF file, with which its metadata keys begin. */
    public final String ggufName() {
        return gguf.name();
    }

    /** Returns what llama.cpp knows of it by that name. */
    public final GgufTraits gguf() {
        return gguf;
    }

    /** Returns the name of a norm's gain in a GGUF file, between {@code blk.N.} and {@code .weight}. */
    public String ggufNorm(LayerNorm norm) {
        return norm.ggufName();
    }

    /** Returns the factor of scores that llama.cpp takes where no key says it. */
    public double ggufScore(int layers, int hiddenSize, int heads, int headDim) {
        return 1 / Math.sqrt(headDim);
    }

    /** What transformers assumes where a config does not say. */
    final ConfigDefaults defaults() {
        return defaults;
    }

    /**
     * The keys of config.json that {@link nibble.checkpoint.model.keys.OtherModels} refuses in general, and that this
     * description reads.
     */
    Set<String> ownKeys() {
        return Set.of();
    }

    /** Returns the linears of a decoder layer as they are stored, in canonical order. */
    public List<LinearModule> modules() {
        return SEVEN;
    }

    /** Returns the key of the MLP's width, in layers that have one. */
    public String intermediateKey() {
        return "intermediate_size";
    }

    /** Returns the norms of a decoder layer over the residual stream's width, each with its module's name in it. */
    public Map<LayerNorm, String> norms() {
        return Map.of(LayerNorm.ATTENTION_IN, "input_layernorm", LayerNorm.MLP_IN, "post_attention_layernorm");
    }

    /**
     * Returns whether norms of the residual stream subtract the mean of a row before they divide by its root mean
     * square: PyTorch's LayerNorm.
     */
    public boolean centersNorms() {
        return false;
    }

    /** Returns the key of the norms' epsilon. */
    public String epsilonKey() {
        return "rms_norm_eps";
    }

    /** Returns the key of the same in a GGUF file, without the architecture's name and {@code attention.}. */
    public final String ggufEpsilon() {
        return epsilonKey().equals("layer_norm_eps") ? "layer_norm_epsilon" : "layer_norm_rms_epsilon";
    }

    /** Returns whether attention and MLP of a layer read one norm, and are added to what went into it together. */
    public boolean isParallel() {
        return false;
    }

    /** Returns whether rope turns values of a head that are neighbours, not those of its two halves. */
    public boolean turnsNeighbours() {
        return false;
    }

    /** Returns whether norms of the residual stream add a bias. */
    public boolean biasesNorms() {
        return false;
    }

    /** Returns whether the output projection may have a bias, by {@link #HEAD_BIAS}. */
    public boolean mayBiasHead() {
        return false;
    }

    /**
     * Returns whether the output projection has a bias.
     *
     * @param config the whole config.json
     */
    public final boolean biasesHead(JsonNode config) {
        return mayBiasHead() && config.path(HEAD_BIAS).asBoolean(false);
    }

    /** Returns whether softmax of attention has a score beside those of keys, one for each head. */
    public boolean hasSinks() {
        return false;
    }

    /**
     * Returns a note for a user on the programs that load quantized experts as they are written, a tensor each, in
     * words; empty where the known ones do.
     */
    public Optional<String> expertsNote() {
        return Optional.empty();
    }

    /** Returns whether weights quantized so are read as a source, like dense ones: {@code quant_method}. */
    boolean readsAsDense(String method) {
        return false;
    }

    /** Returns what queries and keys pass before rope. */
    public HeadNorm headNorm() {
        return HeadNorm.NONE;
    }

    /** Returns the number that must be added to the stored weight of a norm to get its gain: 0, or 1. */
    public float normOffset() {
        return 0f;
    }

    /** The numbers that the model multiplies by. */
    Multipliers multipliers(ConfigKeys keys, int hiddenSize, int headDim) {
        return Multipliers.of(headDim);
    }

    /** Returns the activation of the MLP's gate. */
    public Activation activation() {
        return Activation.SILU;
    }

    void requireActivation(ConfigKeys keys) {
        String name = keys.text("hidden_act").orElse("silu");
        // One function under two names in PyTorch's history.
        if (!name.equals("silu") && !name.equals("swish")) {
            throw new BadCheckpointException(
                    keys.file(), "hidden_act \"" + name + "\" is not supported; supported: silu");
        }
    }

    /** The linears that have a bias. */
    Set<Linear> biases(ConfigKeys keys) {
        Set<Linear> biases = EnumSet.noneOf(Linear.class);
        if (keys.flag("attention_bias", false)) {
            biases.addAll(List.of(Linear.Q, Linear.K, Linear.V, Linear.O));
        }
        if (keys.flag("mlp_bias", false)) {
            biases.addAll(List.of(Linear.GATE, Linear.UP, Linear.DOWN));
        }
        return biases;
    }

    /** Returns whether layers may have experts in the place of one MLP. */
    public boolean mixesExperts() {
        return false;
    }

    /** Returns how tensors of experts are named; empty where there are none. */
    public Optional<Experts.Names> expertNames() {
        return Optional.empty();
    }

    /**
     * Returns the name that transformers 5 gives the router inside a layer, where loaders would quantize it by that
     * name; empty where they leave it alone.
     */
    Optional<String> loadedRouter() {
        return Optional.empty();
    }

    /** The experts that layers have; empty for one MLP in all. */
    Optional<Experts> experts(ConfigKeys keys) {
        return Optional.empty();
    }

    /** Returns whether experts are chosen by sigmoids with a bias, as a GGUF file says by a key. */
    public boolean correctsChoice() {
        return false;
    }

    /**
     * Returns the key that says how many layers the files have behind those of the decoder, which no text needs; empty
     * where there are none. They predict further tokens.
     */
    public Optional<String> furtherLayersKey() {
        return Optional.empty();
    }

    /** How keys and values come from a narrow vector; empty where they come from the residual stream. */
    Optional<LatentAttention> latent(ConfigKeys keys) {
        return Optional.empty();
    }

    /** Returns whether keys and values come from a narrow vector, which has a norm. */
    public final boolean hasLatentAttention() {
        return norms().containsKey(LayerNorm.KEY_VALUE_LATENT);
    }

    /** The last positions that a query sees in layers with a window, its own included; empty if no layer has one. */
    Optional<Integer> window(ConfigKeys keys) {
        return Optional.empty();
    }

    /** The window of a config: an absent key is transformers' default, null says that there is none. */
    static Optional<Integer> windowOr(ConfigKeys keys, int otherwise) {
        return keys.json().has(WINDOW) ? keys.integerIfPresent(WINDOW, 1, Integer.MAX_VALUE) : Optional.of(otherwise);
    }

    /** Whether a layer has the window where the config has no {@code layer_types}. */
    boolean slides(ConfigKeys keys, int layer) {
        return true;
    }

    /** Whether queries and keys of a layer turn. */
    boolean hasRope(ConfigKeys keys, int layer) {
        return true;
    }

    /** The scaling of rope where the config has none of the keys that say it. */
    Rope.Scaling scaling() {
        return new Rope.None();
    }

    /** The base of rope in layers of a kind, where the config does not say. */
    double theta(String kind) {
        return 10_000;
    }

    /** The config's own key of the base of rope in layers of a kind. */
    String thetaKey(String kind) {
        return "rope_theta";
    }

    /**
     * Returns whether {@code rope_parameters} holds an object for each kind, and {@code rope_scaling} means full
     * layers.
     */
    public boolean ropeDiffers() {
        return false;
    }

    /** Returns whether rope may turn a part of each head, by {@code partial_rotary_factor}. */
    public boolean turnsPartly() {
        return false;
    }

    /** Returns whether longrope has factors of cosines and sines in two keys: short_mscale and long_mscale. */
    public boolean scalesByLength() {
        return false;
    }

    /** The part of each head that turns, where no key of config.json says it. */
    final double turnedShare(ConfigKeys keys) {
        return latent(keys).map(LatentAttention::share).orElse(1.0);
    }

    /** The types of rope scaling that are this model's own words for another one. */
    String ropeType(String name) {
        return name;
    }

    /**
     * Returns how each layer attends.
     *
     * @throws BadCheckpointException if the config names a kind that is not supported
     */
    List<LayerAttention> attention(ConfigKeys keys, int layers) {
        return LayerKinds.read(this, keys, layers);
    }

    @Override
    public final String toString() {
        return modelType;
    }
}
