package nibble.engine.gradient;

import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.model.Linear;
import nibble.engine.backend.GradientOperations;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.LayerExtras;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;

/**
 * A quantized decoder layer whose scales and norms are tuned; codes, zeros and biases stay.
 *
 * @param linears codes, zeros and the scales that tuning began with
 * @param scales of each linear, [out, groups]
 * @param inputNorm gain
 * @param postAttentionNorm gain
 * @param headNorms gains of query and key heads, where there are such norms
 */
public record TunedLayer(
        Map<Linear, QuantizedLinear> linears,
        Map<Linear, Parameter> scales,
        Parameter inputNorm,
        Parameter postAttentionNorm,
        Map<Linear, float[]> biases,
        Optional<HeadGains> headNorms) {
    /**
     * Gains of the norms of heads.
     *
     * @param query [head_dim]
     * @param key [head_dim]
     */
    public record HeadGains(Parameter query, Parameter key) {}

    public TunedLayer {
        linears = Collections.unmodifiableMap(new EnumMap<>(linears));
        scales = Collections.unmodifiableMap(new EnumMap<>(scales));
    }

    /**
     * Begins with a layer.
     *
     * @throws IllegalArgumentException if one of its weights is not of codes and scales
     */
    public static TunedLayer of(DecoderLayer layer) {
        DecoderLayer unpacked = layer.unpacked();
        Map<Linear, QuantizedLinear> linears = new EnumMap<>(Linear.class);
        Map<Linear, Parameter> scales = new EnumMap<>(Linear.class);
        for (Linear linear : Linear.values()) {
            if (!(unpacked.weight(linear) instanceof QuantizedWeight(QuantizedLinear codes))) {
                throw new IllegalArgumentException(
                        linear.path() + " is " + unpacked.weight(linear).name() + "; codes and scales expected");
            }
            linears.put(linear, codes);
            float[] values = new float[codes.scales().length];
            for (int i = 0; i < values.length; i++) {
                values[i] = Float.float16ToFloat(codes.scales()[i]);
            }
            scales.put(linear, new Parameter(values));
        }
        return new TunedLayer(
                linears,
                scales,
                new Parameter(layer.inputNorm().clone()),
                new Parameter(layer.postAttentionNorm().clone()),
                layer.extras().biases(),
                layer.extras()
                        .headNorms()
                        .map(norms -> new HeadGains(
                                new Parameter(norms.query().clone()),
                                new Parameter(norms.key().clone()))));
    }

    public QuantizedLinear codes(Linear linear) {
        return present(linears.get(linear), linear);
    }

    public Parameter scales(Linear linear) {
        return present(scales.get(linear), linear);
    }

    private static <T> T present(@org.jspecify.annotations.Nullable T found, Linear linear) {
        if (found == null) {
            throw new IllegalStateException("layer without " + linear.path());
        }
        return found;
    }

    /** Everything that is tuned, in a fixed order. */
    public List<Parameter> parameters() {
        List<Parameter> all = new ArrayList<>();
        for (Linear linear : Linear.values()) {
            all.add(scales(linear));
        }
        all.add(inputNorm);
        all.add(postAttentionNorm);
        headNorms.ifPresent(norms -> {
            all.add(norms.query());
            all.add(norms.key());
        });
        return all;
    }

    /** The layer as it is now, for forward and backward passes until the parameters move. */
    DecoderLayer weights(GradientOperations operations) {
        Map<Linear, Weight> weights = new EnumMap<>(Linear.class);
        for (Linear linear : Linear.values()) {
            weights.put(linear, operations.weight(codes(linear), scales(linear).values()));
        }
        return DecoderLayer.of(
                inputNorm.values(),
                weights,
                postAttentionNorm.values(),
                new LayerExtras(
                        biases,
                        headNorms.map(norms -> new LayerExtras.HeadNorms(
                                norms.query().values(), norms.key().values()))));
    }
}
