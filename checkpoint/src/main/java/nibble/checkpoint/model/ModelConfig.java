package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.stream.IntStream;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.LayerVector;
import nibble.checkpoint.model.layer.Multipliers;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.StrictJson;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;

/**
 * Holds what a model of the Llama family, which is all of {@link Architecture}, says of itself in config.json.
 *
 * @param architecture how tensors are named and what differs from Llama
 * @param hiddenSize width of the residual stream
 * @param intermediateSize width of the MLP
 * @param layers decoder layers
 * @param heads query heads
 * @param kvHeads key and value heads; divides {@code heads}
 * @param headDim width of a head, even; {@code heads * headDim} need not be {@code hiddenSize}
 * @param vocabularySize rows of the embedding
 * @param maxPositions positions the model was made for
 * @param rmsNormEps added to the mean square inside the norms
 * @param attention of each layer; at least as many as {@code layers}
 * @param multipliers what the model multiplies by
 * @param biases the linears that have a bias
 * @param experts of the layers that have some in the place of one MLP
 * @param latent how keys and values come from a narrow vector, if they do
 * @param tiedEmbeddings whether the embedding is the output projection too
 * @param dtype type of the weights as the config states it; F16 where it states none. The files may differ
 * @param bosId id that starts a text, or -1 for none
 * @param eosIds ids that end a text; may be empty
 * @param quantization how the linears are quantized, if they are
 * @param json the whole config as found, for carrying over
 */
public record ModelConfig(
        Architecture architecture,
        int hiddenSize,
        int intermediateSize,
        int layers,
        int heads,
        int kvHeads,
        int headDim,
        int vocabularySize,
        int maxPositions,
        double rmsNormEps,
        List<LayerAttention> attention,
        Multipliers multipliers,
        Set<Linear> biases,
        Optional<Experts> experts,
        Optional<LatentAttention> latent,
        boolean tiedEmbeddings,
        DType dtype,
        int bosId,
        List<Integer> eosIds,
        Optional<QuantizationConfig> quantization,
        ObjectNode json) {

    /** A window that hides nothing. */
    public static final int NO_WINDOW = LayerAttention.NO_WINDOW;

    public ModelConfig {
        eosIds = List.copyOf(eosIds);
        attention = List.copyOf(attention);
        biases = Set.copyOf(biases);
    }

    /**
     * Reads a config.json with the keys of 2023 ({@code torch_dtype}, {@code rope_scaling}, {@code rope_theta}) or of
     * today ({@code dtype}, {@code rope_parameters}).
     *
     * @throws BadCheckpointException if it is absent, malformed, out of range, or of a model that is not supported
     */
    public static ModelConfig read(Path configJson) {
        return of(configJson, StrictJson.readObject(configJson));
    }

    /**
     * Does what {@link #read} does, of JSON that need not come from a file.
     *
     * @param configJson what messages name
     */
    public static ModelConfig of(Path configJson, ObjectNode json) {
        return ConfigReader.read(configJson, json);
    }

    /**
     * Returns the config of a part of the model, of so many layers. {@link #attention} stays that of all layers, which
     * keep their numbers.
     */
    public ModelConfig withLayers(int number) {
        return with(number, tiedEmbeddings, quantization, json);
    }

    /** Returns a copy of the whole config as found, which the caller may change. */
    @Override
    public ObjectNode json() {
        return json.deepCopy();
    }

    /** Returns this config with a head of its own, said in its JSON too. */
    public ModelConfig untied() {
        ObjectNode own = json.deepCopy();
        own.put("tie_word_embeddings", false);
        return with(layers, false, quantization, own);
    }

    /** Returns this config, with what another file says of its quantization. */
    public ModelConfig withQuantization(QuantizationConfig found) {
        return with(layers, tiedEmbeddings, Optional.of(found), json);
    }

    /** Returns how a layer attends, by its number in the whole model. */
    public LayerAttention attention(int layer) {
        return attention.get(layer);
    }

    /** Returns whether all layers attend in one way, and turn whole heads. */
    public boolean attendsAlike() {
        LayerAttention first = attention.getFirst();
        return !first.hasChunks()
                && first.rope().filter(rope -> rope.width(headDim) == headDim).isPresent()
                && attention.stream().allMatch(first::equals);
    }

    /** Returns the window of the layers that have one; {@link #NO_WINDOW} if none has. */
    public int window() {
        return attention.stream().mapToInt(LayerAttention::window).min().orElse(NO_WINDOW);
    }

    /** Returns the rope of the layers that see all positions, or of those with a window where all have one. */
    public Rope rope() {
        return attention.stream()
                .filter(layer -> layer.rope().isPresent())
                .min(Comparator.comparing(LayerAttention::hasWindow))
                .flatMap(LayerAttention::rope)
                .orElseGet(() -> new Rope(1, new Rope.None()));
    }

    /** Returns the values of a value head, at most {@link #headDim}. */
    public int valueDim() {
        return latent.map(LatentAttention::value).orElse(headDim);
    }

    /** Returns how many values a norm of a layer is over; 0 where the model has no such norm. */
    public int normWidth(LayerNorm norm) {
        return new ModelTensors(this).width(norm);
    }

    /** Returns the name of the gain of one of a layer's norms, {@link #normWidth} values, if it has that norm. */
    public Optional<String> norm(LayerNorm norm, int layer) {
        return Optional.ofNullable(architecture.norms().get(norm))
                .filter(_ -> normWidth(norm) > 0)
                .map(name -> TensorNames.layer(layer) + name + ".weight");
    }

    /** Returns a vector that only some architectures have in a layer, if this one has it. */
    public Optional<TensorSpec> vector(LayerVector vector, int layer) {
        return new VectorTensors(this).vector(vector, layer);
    }

    /** Returns the number of values that the norm of queries has a gain for; 0 where there is none. */
    public int queryNormWidth() {
        return new ModelTensors(this).headNormWidth(heads);
    }

    /** Returns the number of values that the norm of keys has a gain for; 0 where there is none. */
    public int keyNormWidth() {
        return new ModelTensors(this).headNormWidth(kvHeads);
    }

    private ModelConfig with(int number, boolean tied, Optional<QuantizationConfig> found, ObjectNode own) {
        return new ModelConfig(
                architecture,
                hiddenSize,
                intermediateSize,
                number,
                heads,
                kvHeads,
                headDim,
                vocabularySize,
                maxPositions,
                rmsNormEps,
                attention,
                multipliers,
                biases,
                experts,
                latent,
                tied,
                dtype,
                bosId,
                eosIds,
                found,
                own);
    }

    /** Returns the experts of a layer; nothing where it has one MLP. */
    public Optional<Experts> experts(int layer) {
        return experts.filter(found -> found.in(layer));
    }

    /** Returns the output features of a linear of a layer without experts: the rows of its fp16 weight. */
    public int outFeatures(Linear linear) {
        return outFeatures(linear, Expert.NONE);
    }

    /** Returns the output features of a linear of an expert. */
    public int outFeatures(Linear linear, Expert expert) {
        return new ModelTensors(this).rows(linear, expert);
    }

    /** Returns the features of an input of an expert. */
    public int width(LinearInput input, Expert expert) {
        return input == LinearInput.DOWN && expert.isPart()
                ? experts.orElseThrow().width(expert)
                : width(input);
    }

    /** Returns the features of an input. */
    public int width(LinearInput input) {
        return new ModelTensors(this).width(input);
    }

    /** Returns the columns of the MLP that layers without experts have; 0 where all layers have experts. */
    public int mlpColumns() {
        return experts.isEmpty()
                        || IntStream.range(0, layers)
                                .anyMatch(layer -> !experts.get().in(layer))
                ? intermediateSize
                : 0;
    }

    /** Returns the inner features that a token passes in a layer: those of the MLP, or of the experts chosen for it. */
    public int activeWidth(int layer) {
        return experts(layer)
                .map(found -> found.chosen() * found.width() + found.shared().width())
                .orElse(intermediateSize);
    }

    /** Returns the input features of a linear: the columns of its fp16 weight. */
    public int inFeatures(Linear linear) {
        return width(linear.input());
    }

    /** Returns the output features of a module: those of its parts together. */
    public int outFeatures(LinearModule module) {
        return module.parts().stream()
                .mapToInt(part -> outFeatures(part, module.expert()))
                .sum();
    }

    /** Returns the input features of a module, the same for all of its parts. */
    public int inFeatures(LinearModule module) {
        return width(module.input(), module.expert());
    }

    /**
     * Returns the unquantized weight [out, in] of a linear; of one that is fused with others, under a name for
     * messages only.
     */
    public TensorSpec spec(Linear linear, int layer) {
        return new TensorSpec(
                stored(linear, layer).label() + ".weight", dtype, Shape.of(outFeatures(linear), inFeatures(linear)));
    }

    /** Returns the unquantized weight [out, in] of a module. */
    public TensorSpec spec(LinearModule module, int layer) {
        return new TensorSpec(module.name(layer) + ".weight", dtype, Shape.of(outFeatures(module), inFeatures(module)));
    }

    /** Returns the linears of a decoder layer as they are stored, in canonical order. */
    public List<LinearModule> modules(int layer) {
        Optional<Experts> mixture = experts(layer);
        if (mixture.isEmpty()) {
            return modules();
        }
        List<LinearModule> modules = new ArrayList<>(modules());
        modules.removeIf(LinearModule::isMlp);
        modules.addAll(mixture.get().modules());
        return modules;
    }

    /** The linears of a layer without experts. */
    private List<LinearModule> modules() {
        return latent.map(from -> LinearModule.latent(from.queryRank() > 0)).orElseGet(architecture::modules);
    }

    /** Says where a linear of attention, or of the MLP of a layer without experts, is stored. */
    public StoredLinear stored(Linear linear, int layer) {
        for (LinearModule module : modules()) {
            if (module.parts().contains(linear)) {
                return stored(module, linear, layer);
            }
        }
        throw new IllegalStateException(architecture + " without " + linear.path());
    }

    /** Says where a linear of an expert, or of attention, is stored. */
    public StoredLinear stored(Linear linear, Expert expert, int layer) {
        return expert.isPart()
                ? experts(layer).orElseThrow().modules(expert).stream()
                        .filter(module -> module.parts().contains(linear))
                        .map(module -> stored(module, linear, layer))
                        .findFirst()
                        .orElseThrow()
                : stored(linear, layer);
    }

    /** Says where all linears of a layer are stored, in canonical order. */
    public List<StoredLinear> linears(int layer) {
        return modules(layer).stream()
                .flatMap(module -> module.parts().stream().map(part -> stored(module, part, layer)))
                .toList();
    }

    /** Says where a part of a module is stored. */
    public StoredLinear stored(LinearModule module, Linear linear, int layer) {
        int first = 0;
        for (Linear part : module.parts()) {
            int rows = outFeatures(part, module.expert());
            if (part == linear) {
                return new StoredLinear(module, linear, layer, first, rows, inFeatures(module));
            }
            first += rows;
        }
        throw new IllegalArgumentException(module.path() + " without " + linear.path());
    }

    /** Returns the bias [out] of a linear of attention, or of the MLP of a layer without experts, if it has one. */
    public Optional<TensorSpec> bias(Linear linear, int layer) {
        return bias(LayerLinear.of(linear), layer);
    }

    /** Returns the bias [out] of a linear of a layer, perhaps of one of its experts, if it has one. */
    public Optional<TensorSpec> bias(LayerLinear linear, int layer) {
        return new VectorTensors(this).bias(linear, layer);
    }

    /** Returns the biases of a layer's linears, those of experts too, in canonical order. */
    public SequencedMap<LayerLinear, TensorSpec> biases(int layer) {
        return new VectorTensors(this).biases(layer);
    }

    /**
     * Returns every tensor of the unquantized model, in canonical order: embedding; those of each layer; final norm;
     * head unless tied.
     */
    public List<TensorSpec> tensors() {
        return new ModelTensors(this).all();
    }

    /**
     * Returns every tensor of a decoder layer of the unquantized model, in canonical order: a norm in front of
     * attention, q, k, v, the norms of their heads, o, a norm behind, then the same of the MLP with gate, up, down; a
     * bias after its weight. Where there are experts, the router comes before those of each expert, and the shared
     * expert's gate before that.
     */
    public List<TensorSpec> tensors(int layer) {
        return new ModelTensors(this).ofLayer(layer);
    }

    /** Names the modules of all layers that choose and weigh experts, which are never quantized. */
    public List<String> gates() {
        return new ModelTensors(this).gates();
    }

    /**
     * Returns the factor of embeddings on their way into the first layer. The engine's residual stream is the model's
     * divided by {@link Multipliers#residual}, so that halves of layers add to it as they are.
     */
    public float embeddingScale() {
        return (float) (multipliers.embedding() / multipliers.residual());
    }

    /** Returns the epsilon of norms of the engine's residual stream: {@link #embeddingScale} tells why. */
    public double streamNormEps() {
        return rmsNormEps / (multipliers.residual() * multipliers.residual());
    }

    /** Returns the factor of the final norm's gain that stands for that of logits. */
    public float finalGainScale() {
        return (float) multipliers.logits();
    }
}
