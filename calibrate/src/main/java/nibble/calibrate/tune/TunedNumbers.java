package nibble.calibrate.tune;

import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import nibble.calibrate.search.QuantizedLayer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Linear;
import nibble.engine.backend.Parameter;
import nibble.engine.gradient.TunedLayer;
import nibble.engine.gradient.TunedModel;
import nibble.engine.tensor.DecoderLayer;
import nibble.pack.Half;
import nibble.pack.QuantizedLinear;

/**
 * Holds what tuning made of a model's scales and norms, as a checkpoint holds them: in fp16.
 *
 * @param layers in order
 * @param finalNorm its gain less the offset
 * @param normOffset what norms lack of their gains
 */
record TunedNumbers(List<OfLayer> layers, short[] finalNorm, float normOffset) {
    /** Holds those of a layer; norms less the offset, those of heads empty where there are none. */
    record OfLayer(
            Map<Linear, short[]> scales,
            short[] inputNorm,
            short[] postAttentionNorm,
            short[] queryNorm,
            short[] keyNorm) {}

    static TunedNumbers of(TunedModel model) {
        float offset = model.config().architecture().normOffset();
        return new TunedNumbers(
                model.layers().stream().map(layer -> of(layer, offset)).toList(),
                norm(model.finalNorm(), offset),
                offset);
    }

    private static OfLayer of(TunedLayer layer, float offset) {
        Map<Linear, short[]> scales = new EnumMap<>(Linear.class);
        layer.scales().forEach((linear, parameter) -> {
            float[] values = parameter.values();
            short[] halves = new short[values.length];
            for (int i = 0; i < halves.length; i++) {
                halves[i] = Float.floatToFloat16(Math.clamp(values[i], Half.MIN_VALUE, Half.MAX));
            }
            scales.put(linear, halves);
        });
        return new OfLayer(
                scales,
                norm(layer.inputNorm(), offset),
                norm(layer.postAttentionNorm(), offset),
                layer.headNorms().map(norms -> norm(norms.query(), offset)).orElse(new short[0]),
                layer.headNorms().map(norms -> norm(norms.key(), offset)).orElse(new short[0]));
    }

    /** Returns a layer of the checkpoint as fitted with these numbers. */
    QuantizedLayer layer(Checkpoint made, int index) {
        OfLayer numbers = layers.get(index);
        DecoderLayer fitted = DecoderLayer.read(made, index);
        Map<Linear, QuantizedLinear> linears = new EnumMap<>(Linear.class);
        TunedLayer.codes(fitted).forEach((linear, codes) -> {
            short[] scales = numbers.scales.get(linear);
            if (scales == null) {
                throw new IllegalStateException("no tuned scales of " + linear.path());
            }
            linears.put(linear, codes.withScales(scales));
        });
        Map<Linear, short[]> biases = new EnumMap<>(Linear.class);
        fitted.extras().biases().forEach((linear, bias) -> biases.put(linear, halves(bias, 0)));
        return new QuantizedLayer(
                numbers.inputNorm,
                linears,
                numbers.postAttentionNorm,
                normOffset,
                biases,
                numbers.queryNorm,
                numbers.keyNorm);
    }

    /** Returns the gain of the final norm as a reader of the checkpoint gets it. */
    float[] finalGain() {
        float[] floats = new float[finalNorm.length];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = Float.float16ToFloat(finalNorm[i]) + normOffset;
        }
        return floats;
    }

    private static short[] norm(Parameter gain, float offset) {
        return halves(gain.values(), offset);
    }

    private static short[] halves(float[] values, float offset) {
        short[] halves = new short[values.length];
        for (int i = 0; i < halves.length; i++) {
            halves[i] = Float.floatToFloat16(Math.clamp(values[i] - offset, -Half.MAX, Half.MAX));
        }
        return halves;
    }
}
