package nibble.engine.bench;

import java.util.EnumSet;
import java.util.Set;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.StoredWeights;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;

/**
 * Counts the weights that a token passes: all but those of experts that the router does not choose.
 *
 * @param spec of 4-bit weights, null for others
 */
record ActiveWeights(ModelConfig config, @Nullable QuantizationSpec spec) {
    private static final Set<Linear> MLP = EnumSet.of(Linear.GATE, Linear.UP, Linear.DOWN);

    /** Returns the weights in the linears of a layer. */
    long count() {
        long weights = 0;
        for (Linear linear : Linear.SEVEN) {
            weights += config.experts().isPresent() && MLP.contains(linear)
                    ? config.hiddenSize() * columns(config.experts().get())
                    : (long) config.outFeatures(linear) * config.inFeatures(linear);
        }
        return weights;
    }

    /** Returns the width of all experts that a token passes. */
    static long columns(Experts experts) {
        return (long) experts.chosen() * experts.width() + experts.shared().width();
    }

    /** Returns the bytes of a linear of a layer; of experts those of one token, and with gate those of the router. */
    double bytes(DecoderLayer layer, Linear linear) {
        if (!(layer.feedForward() instanceof ExpertMlps experts) || !MLP.contains(linear)) {
            return bytes(layer.weight(linear));
        }
        double routed = config.experts().orElseThrow().chosen()
                * bytes(experts.routed().getFirst().weight(linear));
        double shared = experts.shared().map(mlp -> bytes(mlp.weight(linear))).orElse(0.0);
        return routed + shared + (linear == Linear.GATE ? StoredWeights.bytes(experts.router()) : 0);
    }

    /** Of a weight, of a 4-bit one with its share of scale and zero. */
    private double bytes(Weight weight) {
        return spec == null
                ? StoredWeights.bytes(weight)
                : (0.5 + 2.5 / spec.columnsPerGroup(config.hiddenSize())) * weight.outFeatures() * weight.inFeatures();
    }
}
