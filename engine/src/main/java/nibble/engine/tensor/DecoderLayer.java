package nibble.engine.tensor;

import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.StoredLinear;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.LayerVector;
import nibble.checkpoint.tensor.TensorView;
import nibble.pack.ActOrderLinear;
import nibble.pack.Dequantized;
import nibble.pack.QuantizedLinear;
import nibble.pack.layout.AwqLayout;
import nibble.pack.layout.LinearInPlace;
import nibble.pack.layout.PackedLinears;
import nibble.pack.layout.StoredCodes;

/**
 * Holds the weights of one decoder layer.
 *
 * @param inputNorm RMSNorm gain before attention, [hidden]; {@link #NO_NORM} where there is none
 * @param attention the weights of attention's linears: of q, k, v and o, or of those in their place
 * @param postAttentionNorm RMSNorm gain before the MLP, [hidden]; {@link #NO_NORM} where there is none
 * @param feedForward the MLP, or experts in its place
 * @param extras what only some architectures have
 */
public record DecoderLayer(
        float[] inputNorm,
        Map<Linear, Weight> attention,
        float[] postAttentionNorm,
        FeedForward feedForward,
        LayerExtras extras) {

    public DecoderLayer {
        attention = Collections.unmodifiableMap(new EnumMap<>(attention));
    }

    /** The gain of a norm that is not there: what goes in comes out. */
    public static final float[] NO_NORM = {};

    /** Returns the gains of the layer's norms over the residual stream's width, those that there are. */
    public Map<LayerNorm, float[]> norms() {
        Map<LayerNorm, float[]> norms = new EnumMap<>(LayerNorm.class);
        norms.putAll(extras.innerNorms());
        if (inputNorm.length > 0) {
            norms.put(LayerNorm.ATTENTION_IN, inputNorm);
        }
        if (postAttentionNorm.length > 0) {
            norms.put(LayerNorm.MLP_IN, postAttentionNorm);
        }
        return norms;
    }

    /** Makes a layer of Llama's: norms and linears. */
    public DecoderLayer(
            float[] inputNorm,
            Weight q,
            Weight k,
            Weight v,
            Weight o,
            float[] postAttentionNorm,
            Weight gate,
            Weight up,
            Weight down) {
        this(
                inputNorm,
                Map.of(Linear.Q, q, Linear.K, k, Linear.V, v, Linear.O, o),
                postAttentionNorm,
                new Mlp(gate, up, down),
                LayerExtras.NONE);
    }

    /**
     * Returns the weight of one of the linears of a layer without experts, or of attention.
     *
     * @throws IllegalStateException for a linear of the MLP where there are experts
     * @throws IllegalArgumentException for a linear that the layer does not have
     */
    public Weight weight(Linear linear) {
        return linear.isMlp() ? mlp().weight(linear) : required(attention, linear);
    }

    /**
     * Returns the weight of one of the linears of an expert, or of attention.
     *
     * @param expert {@link Expert#NONE} for attention and for the MLP of a layer without experts
     */
    public Weight weight(Linear linear, Expert expert) {
        return feedForward instanceof ExpertMlps experts && expert.isPart()
                ? experts.of(expert).weight(linear)
                : weight(linear);
    }

    /**
     * Returns the MLP of a layer without experts.
     *
     * @throws IllegalStateException if there are experts
     */
    public Mlp mlp() {
        return switch (feedForward) {
            case Mlp mlp -> mlp;
            case ExpertMlps _ -> throw new IllegalStateException("one MLP expected, and the layer has experts");
        };
    }

    /** Returns whether the layer has experts. */
    public boolean hasExperts() {
        return feedForward instanceof ExpertMlps;
    }

    public Weight q() {
        return weight(Linear.Q);
    }

    public Weight k() {
        return weight(Linear.K);
    }

    public Weight v() {
        return weight(Linear.V);
    }

    public Weight o() {
        return weight(Linear.O);
    }

    public Weight gate() {
        return mlp().gate();
    }

    public Weight up() {
        return mlp().up();
    }

    public Weight down() {
        return mlp().down();
    }

    /** Returns the weights of all linears, those of experts too. */
    public Stream<Weight> weights() {
        return Stream.concat(attention.values().stream(), feedForward.weights());
    }

    /** Returns the layer with each of its weights replaced. */
    public DecoderLayer map(UnaryOperator<Weight> replacement) {
        Map<Linear, Weight> replaced = new EnumMap<>(Linear.class);
        attention.forEach((linear, weight) -> replaced.put(linear, replacement.apply(weight)));
        return new DecoderLayer(inputNorm, replaced, postAttentionNorm, feedForward.map(replacement), extras);
    }

    /** Returns the layer in the forms that a card takes, as {@link StoredWeights#expanded}. */
    public DecoderLayer expanded() {
        return map(StoredWeights::expanded);
    }

    /** Returns the layer with 4-bit weights unpacked to codes by rows. */
    public DecoderLayer unpacked() {
        return map(weight -> switch (weight) {
            case AwqWeight(AwqLayout.AwqLinear linear) -> new QuantizedWeight(linear.unpack());
            case StoredWeight(StoredCodes codes) -> new QuantizedWeight(codes.unpack());
            default -> weight;
        });
    }

    /** Returns a layer of these norms and these seven weights. */
    public static DecoderLayer of(float[] inputNorm, Map<Linear, ? extends Weight> w, float[] postAttentionNorm) {
        return of(inputNorm, w, postAttentionNorm, LayerExtras.NONE);
    }

    public static DecoderLayer of(
            float[] inputNorm, Map<Linear, ? extends Weight> w, float[] postAttentionNorm, LayerExtras extras) {
        return of(inputNorm, w, postAttentionNorm, mlp(w), extras);
    }

    /** Returns a layer of these norms, these weights of attention, and what is behind it. */
    public static DecoderLayer of(
            float[] inputNorm,
            Map<Linear, ? extends Weight> w,
            float[] postAttentionNorm,
            FeedForward feedForward,
            LayerExtras extras) {
        Map<Linear, Weight> attention = new EnumMap<>(Linear.class);
        w.forEach((linear, weight) -> {
            if (!linear.isMlp()) {
                attention.put(linear, weight);
            }
        });
        return new DecoderLayer(inputNorm, attention, postAttentionNorm, feedForward, extras);
    }

    /** Returns the MLP of these weights. */
    public static Mlp mlp(Map<Linear, ? extends Weight> w) {
        return new Mlp(required(w, Linear.GATE), required(w, Linear.UP), required(w, Linear.DOWN));
    }

    /** Returns the MLP of these weights and biases, of an expert. */
    public static Mlp mlp(Map<Linear, ? extends Weight> w, Map<Linear, float[]> biases) {
        return new Mlp(required(w, Linear.GATE), required(w, Linear.UP), required(w, Linear.DOWN), biases);
    }

    private static Weight required(Map<Linear, ? extends Weight> weights, Linear linear) {
        Weight weight = weights.get(linear);
        if (weight == null) {
            throw new IllegalArgumentException("decoder layer without a weight for " + linear.path());
        }
        return weight;
    }

    /**
     * Reads layer {@code layer} of a checkpoint. Dense and AWQ weights and those of GGUF files stay views of the mapped
     * files, so the checkpoint must stay open while the layer is used.
     */
    public static DecoderLayer read(Checkpoint checkpoint, int layer) {
        ModelConfig config = checkpoint.config();
        Map<Expert, Map<Linear, Weight>> weights = new HashMap<>();
        for (LinearModule module : config.modules(layer)) {
            Map<Linear, Weight> parts = weights.computeIfAbsent(module.expert(), _ -> new EnumMap<>(Linear.class));
            if (config.quantization().isPresent()) {
                packed(checkpoint, module, layer, parts);
            } else {
                Weight whole = StoredWeights.matrix(checkpoint, module.name(layer) + ".weight");
                for (Linear part : module.parts()) {
                    parts.put(part, StoredWeights.part(whole, config.stored(module, part, layer)));
                }
            }
        }
        Map<Linear, Weight> own = weights.getOrDefault(Expert.NONE, Map.of());
        return of(
                norm(checkpoint, LayerNorm.ATTENTION_IN, layer),
                own,
                norm(checkpoint, LayerNorm.MLP_IN, layer),
                config.experts(layer).isPresent()
                        ? experts(checkpoint, config.experts(layer).get(), layer, weights)
                        : mlp(own),
                LayerExtras.read(checkpoint, layer));
    }

    private static ExpertMlps experts(
            Checkpoint checkpoint, Experts experts, int layer, Map<Expert, Map<Linear, Weight>> weights) {
        Map<Expert, Map<Linear, float[]>> biases = new HashMap<>();
        checkpoint
                .config()
                .biases(layer)
                .forEach((linear, spec) -> biases.computeIfAbsent(linear.expert(), _ -> new EnumMap<>(Linear.class))
                        .put(linear.linear(), vector(checkpoint.tensor(spec.name()))));
        float[] routerBias = checkpoint
                .config()
                .vector(LayerVector.ROUTER_BIAS, layer)
                .map(spec -> vector(checkpoint.tensor(spec.name())))
                .orElse(new float[0]);
        List<Mlp> routed = new ArrayList<>();
        Optional<Mlp> shared = Optional.empty();
        for (Expert expert : experts.all()) {
            Mlp mlp = mlp(weights.getOrDefault(expert, Map.of()), biases.getOrDefault(expert, Map.of()));
            if (expert.isRouted()) {
                routed.add(mlp);
            } else {
                shared = Optional.of(mlp);
            }
        }
        return new ExpertMlps(
                StoredWeights.matrix(checkpoint, experts.router(layer)),
                routerBias,
                routed,
                shared,
                experts.shared().gated()
                        ? Optional.of(StoredWeights.matrix(checkpoint, experts.sharedGate(layer)))
                        : Optional.empty());
    }

    /**
     * As it lies; fused modules unpacked, those in order of activation dense, as their groups are no runs of columns.
     */
    private static void packed(Checkpoint checkpoint, LinearModule module, int layer, Map<Linear, Weight> weights) {
        ModelConfig config = checkpoint.config();
        Optional<? extends LinearInPlace> inPlace =
                module.isFused() ? Optional.empty() : PackedLinears.inPlace(checkpoint, module, layer);
        if (inPlace.isPresent()) {
            weights.put(module.parts().getFirst(), inPlace(inPlace.get()));
            return;
        }
        switch (PackedLinears.read(checkpoint, module, layer)) {
            case QuantizedLinear plain -> {
                for (Linear part : module.parts()) {
                    StoredLinear stored = config.stored(module, part, layer);
                    weights.put(part, new QuantizedWeight(plain.rows(stored.firstRow(), stored.outFeatures())));
                }
            }
            case ActOrderLinear ordered -> {
                TensorView dense = Dequantized.half(module.name(layer), ordered);
                for (Linear part : module.parts()) {
                    weights.put(
                            part,
                            new DenseWeight(config.stored(module, part, layer).rows(dense)));
                }
            }
        }
    }

    private static Weight inPlace(LinearInPlace linear) {
        return switch (linear) {
            case AwqLayout.AwqLinear awq -> new AwqWeight(awq);
            case StoredCodes codes -> new StoredWeight(codes);
        };
    }

    private static float[] norm(Checkpoint checkpoint, LayerNorm norm, int layer) {
        return checkpoint
                .config()
                .norm(norm, layer)
                .map(name -> norm(checkpoint, name))
                .orElse(NO_NORM);
    }

    /** The gain of a norm: what is stored, or one more. */
    static float[] norm(Checkpoint checkpoint, String name) {
        float[] gain = vector(checkpoint.tensor(name));
        float offset = checkpoint.config().architecture().normOffset();
        for (int i = 0; i < gain.length; i++) {
            gain[i] += offset;
        }
        return gain;
    }

    /** The values of a vector of F16, BF16 or F32. */
    static float[] vector(TensorView tensor) {
        float[] values = new float[Math.toIntExact(tensor.shape().elements())];
        WeightRows.read(tensor, 0, values, 0, values.length);
        return values;
    }
}
