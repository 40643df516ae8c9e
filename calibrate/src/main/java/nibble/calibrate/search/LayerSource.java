package nibble.calibrate.search;

import java.nio.file.Path;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.StoredLinear;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.layer.Activation;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.LayerVector;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.TensorView;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.LayerExtras.HeadNorms;
import nibble.pack.Half;
import nibble.pack.QuantizationSpec;
import nibble.pack.WeightReader;
import org.jspecify.annotations.Nullable;

/**
 * Holds the original weights of one decoder layer, all known to be finite. Owns the linears.
 *
 * @param inputNorm gain of the norm before attention: what the checkpoint stores, plus {@code normOffset}; empty where
 *     there is none
 * @param postAttentionNorm gain of the norm before the MLP; empty where there is none
 * @param normOffset what the stored weight of a norm lacks of its gain
 * @param linears where the devices compute
 * @param biases of the linears that have one
 * @param queryNorm of queries, as stored; empty where there is none
 * @param keyNorm of keys, as stored; empty where there is none
 * @param innerNorms the other norms, as stored; those that there are
 * @param vectors that only some architectures have, as stored
 * @param single those of them that the output holds in fp32, not in fp16
 * @param stored where each linear's weight lies
 * @param activation of gate and up
 * @param parallel whether attention and MLP read one norm
 * @param router what chooses experts, where there are some
 */
public record LayerSource(
        int layer,
        float[] inputNorm,
        float[] postAttentionNorm,
        float normOffset,
        Map<LayerLinear, LinearQuantizer> linears,
        Map<LayerLinear, float[]> biases,
        float[] queryNorm,
        float[] keyNorm,
        Map<LayerNorm, float[]> innerNorms,
        Map<LayerVector, float[]> vectors,
        Set<LayerVector> single,
        Map<LayerLinear, StoredLinear> stored,
        Activation activation,
        boolean parallel,
        Optional<RouterWeights> router)
        implements AutoCloseable {

    /**
     * Takes a layer of the feed.
     *
     * @param placed on each device
     * @throws BadCheckpointException if a weight is not finite, or a norm or bias is too large for fp16
     */
    public static LayerSource of(
            Checkpoint checkpoint,
            int layer,
            List<DecoderLayer> placed,
            QuantizationDevices devices,
            QuantizationSpec spec) {
        ModelConfig config = checkpoint.config();
        float offset = config.architecture().normOffset();
        boolean heads = config.architecture().headNorm().isStored();
        Map<LayerNorm, float[]> norms = new EnumMap<>(LayerNorm.class);
        for (LayerNorm norm : LayerNorm.values()) {
            config.norm(norm, layer).ifPresent(name -> norms.put(norm, vector(checkpoint, name, "norms")));
        }
        float[] inputNorm = gain(norms.remove(LayerNorm.ATTENTION_IN), offset);
        float[] postAttentionNorm = gain(norms.remove(LayerNorm.MLP_IN), offset);
        // What a checkpoint does not have has gains of 1, if it is there.
        HeadNorms unstored = placed.getFirst().extras().headNorms().orElse(new HeadNorms(new float[0], new float[0]));
        float[] queryNorm = heads ? vector(checkpoint, TensorNames.queryNorm(layer), "norms") : unstored.query();
        float[] keyNorm = heads ? vector(checkpoint, TensorNames.keyNorm(layer), "norms") : unstored.key();
        Map<LayerLinear, float[]> biases = new TreeMap<>();
        config.biases(layer).forEach((linear, bias) -> biases.put(linear, vector(checkpoint, bias.name(), "biases")));
        Map<LayerVector, float[]> vectors = new EnumMap<>(LayerVector.class);
        Set<LayerVector> single = EnumSet.noneOf(LayerVector.class);
        for (LayerVector kind : LayerVector.values()) {
            config.vector(kind, layer).ifPresent(found -> {
                vectors.put(kind, vector(checkpoint, found.name(), "such vectors"));
                if (TensorNames.type(found.name(), DType.F16) == DType.F32) {
                    single.add(kind);
                }
            });
        }
        Map<LayerLinear, LinearQuantizer> linears = new TreeMap<>();
        Map<LayerLinear, StoredLinear> stored = new TreeMap<>();
        for (StoredLinear where : config.linears(layer)) {
            LayerLinear linear = where.id();
            stored.put(linear, where);
            linears.put(
                    linear,
                    devices.quantizer(
                            placed.stream()
                                    .map(there -> there.weight(linear.linear(), linear.expert()))
                                    .toList(),
                            original(checkpoint, where),
                            checkpoint.fileOf(where.weight()),
                            spec));
        }
        return new LayerSource(
                layer,
                inputNorm,
                postAttentionNorm,
                offset,
                linears,
                biases,
                queryNorm,
                keyNorm,
                norms,
                vectors,
                single,
                stored,
                config.architecture().activation(),
                config.architecture().isParallel(),
                config.experts(layer).map(experts -> router(checkpoint, experts, layer)));
    }

    private static RouterWeights router(Checkpoint checkpoint, Experts experts, int layer) {
        return new RouterWeights(
                QuantizedLayer.halves(vector(checkpoint, experts.router(layer), "routers")),
                experts.shared().gated()
                        ? QuantizedLayer.halves(vector(checkpoint, experts.sharedGate(layer), "gates"))
                        : new short[0],
                checkpoint.config().hiddenSize());
    }

    /** The weight on the host, under the name that messages call it by. */
    private static DenseWeight original(Checkpoint checkpoint, StoredLinear where) {
        TensorView view = where.rows(checkpoint.tensor(where.weight()));
        return new DenseWeight(new TensorView(where.label() + ".weight", view.dtype(), view.shape(), view.data()));
    }

    private static float[] gain(float @Nullable [] weight, float offset) {
        if (weight == null) {
            return DecoderLayer.NO_NORM;
        }
        for (int i = 0; i < weight.length; i++) {
            weight[i] += offset;
        }
        return weight;
    }

    private static float[] vector(Checkpoint checkpoint, String name, String kind) {
        Path file = checkpoint.fileOf(name);
        float[] values = WeightReader.floats(checkpoint.tensor(name), file);
        for (int i = 0; i < values.length; i++) {
            if (!Float.isFinite(Half.round(values[i]))) {
                throw new BadCheckpointException(
                        file,
                        "tensor " + name + " element [" + i + "] is " + values[i]
                                + ", beyond fp16's largest value 65504, and the output keeps " + kind + " in fp16");
            }
        }
        return values;
    }

    /** The gain of a norm; empty where there is none. */
    float[] gain(LayerNorm norm) {
        return switch (norm) {
            case ATTENTION_IN -> inputNorm;
            case MLP_IN -> postAttentionNorm;
            case QUERY_LATENT, KEY_VALUE_LATENT, ATTENTION_OUT, MLP_OUT -> {
                float[] stored = innerNorms.get(norm);
                yield gain(stored == null ? null : stored.clone(), normOffset);
            }
        };
    }

    LinearQuantizer linear(LayerLinear linear) {
        LinearQuantizer found = linears.get(linear);
        if (found == null) {
            throw new IllegalStateException("layer without " + linear);
        }
        return found;
    }

    /** All linears in canonical order. */
    Set<LayerLinear> names() {
        return linears.keySet();
    }

    /** What reports and messages call a linear. */
    String label(LayerLinear linear) {
        StoredLinear found = stored.get(linear);
        if (found == null) {
            throw new IllegalStateException("layer without " + linear);
        }
        return found.label();
    }

    @Override
    public void close() {
        linears.values().forEach(LinearQuantizer::close);
    }
}
