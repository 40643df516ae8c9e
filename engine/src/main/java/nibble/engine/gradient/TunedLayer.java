package nibble.engine.gradient;

import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.backend.PlacedCodes;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.QuantizedWeight;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/**
 * Holds what is tuned of a quantized decoder layer, and its biases, which stay like its zeros. Owns the parameters.
 *
 * @param scales of each linear, [out, groups]
 * @param positions of each linear's codes, [out, in]; empty where codes stay
 * @param norms gains of the layer's norms
 * @param headNorms gains of query and key heads, where there are such norms
 */
public record TunedLayer(
        Map<Linear, Parameter> scales,
        Map<Linear, Parameter> positions,
        Map<LayerNorm, Parameter> norms,
        Map<Linear, float[]> biases,
        Optional<HeadGains> headNorms)
        implements AutoCloseable {
    /**
     * Holds the gains of the norms of heads.
     *
     * @param query [head_dim], or as many as all heads have
     * @param key likewise
     */
    public record HeadGains(Parameter query, Parameter key) {}

    public TunedLayer {
        scales = Collections.unmodifiableMap(new EnumMap<>(scales));
        positions = Collections.unmodifiableMap(positions);
        norms = Collections.unmodifiableMap(norms);
    }

    /**
     * Begins with a layer.
     *
     * @param codes of the layer
     * @param moving the codes that are tuned, where the device computes; empty where they stay
     */
    static TunedLayer of(
            DecoderLayer layer,
            Map<Linear, QuantizedLinear> codes,
            Map<Linear, PlacedCodes> moving,
            GradientOperations operations) {
        Map<Linear, Parameter> positions = new EnumMap<>(Linear.class);
        moving.forEach((linear, placed) -> positions.put(linear, operations.positions(placed)));
        Map<Linear, Parameter> scales = new EnumMap<>(Linear.class);
        codes.forEach((linear, quantized) -> {
            float[] values = new float[quantized.scales().length];
            for (int i = 0; i < values.length; i++) {
                values[i] = Float.float16ToFloat(quantized.scales()[i]);
            }
            scales.put(linear, operations.parameter(values));
        });
        Map<LayerNorm, Parameter> norms = new EnumMap<>(LayerNorm.class);
        layer.norms().forEach((norm, gain) -> norms.put(norm, operations.parameter(gain)));
        return new TunedLayer(
                scales,
                positions,
                norms,
                layer.extras().biases(),
                layer.extras()
                        .headNorms()
                        .map(heads ->
                                new HeadGains(operations.parameter(heads.query()), operations.parameter(heads.key()))));
    }

    /**
     * Returns codes, zeros and scales of a layer.
     *
     * @throws IllegalArgumentException if one of its weights is not of codes and scales
     */
    public static Map<Linear, QuantizedLinear> codes(DecoderLayer layer) {
        DecoderLayer unpacked = layer.unpacked();
        Map<Linear, QuantizedLinear> codes = new EnumMap<>(Linear.class);
        for (Linear linear : Linear.SEVEN) {
            if (!(unpacked.weight(linear) instanceof QuantizedWeight(QuantizedLinear quantized))) {
                throw new IllegalArgumentException(
                        linear.path() + " is " + unpacked.weight(linear).name() + "; codes and scales expected");
            }
            codes.put(linear, quantized);
        }
        return codes;
    }

    public Parameter scales(Linear linear) {
        Parameter found = scales.get(linear);
        if (found == null) {
            throw new IllegalStateException("layer without " + linear.path());
        }
        return found;
    }

    /** Returns the gain of a norm; null where the layer has none. */
    @Nullable
    Parameter norm(LayerNorm norm) {
        return norms.get(norm);
    }

    /** Returns everything that is tuned, in a fixed order. */
    public List<Parameter> parameters() {
        List<Parameter> all = new ArrayList<>(numbers());
        all.addAll(positions.values());
        return all;
    }

    /** Returns what is tuned relative to its start, in a fixed order: all but the positions of codes. */
    public List<Parameter> numbers() {
        List<Parameter> all = new ArrayList<>();
        for (Linear linear : Linear.SEVEN) {
            all.add(scales(linear));
        }
        all.addAll(norms.values());
        headNorms.ifPresent(norms -> {
            all.add(norms.query());
            all.add(norms.key());
        });
        return all;
    }

    @Override
    public void close() {
        parameters().forEach(Parameter::close);
    }
}
