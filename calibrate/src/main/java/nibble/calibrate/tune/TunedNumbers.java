package nibble.calibrate.tune;

import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import nibble.calibrate.search.QuantizedLayer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.engine.backend.Parameter;
import nibble.engine.gradient.TunedLayer;
import nibble.engine.gradient.TunedModel;
import nibble.engine.tensor.DecoderLayer;
import nibble.pack.CodePositions;
import nibble.pack.Half;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;

/**
 * Holds what tuning made of a model, as a checkpoint holds it: scales and norms in fp16, and codes if they moved.
 *
 * @param layers in order
 * @param finalNorm its gain less the offset
 * @param normOffset what norms lack of their gains
 * @param finalScale the factor of logits, which the gain of the final norm has in the engine and not as stored
 */
record TunedNumbers(List<OfLayer> layers, short[] finalNorm, float normOffset, float finalScale) {
    /** Holds those of a layer; norms less the offset, those of heads empty where there are none; codes likewise. */
    record OfLayer(
            Map<Linear, short[]> scales,
            Map<Linear, byte[]> codes,
            Map<LayerNorm, short[]> norms,
            short[] queryNorm,
            short[] keyNorm) {}

    static TunedNumbers of(TunedModel model, QuantizationSpec spec) {
        float offset = model.config().architecture().normOffset();
        return new TunedNumbers(
                model.layers().stream().map(layer -> of(layer, spec, offset)).toList(),
                finalNorm(model.finalNorm(), model.config().finalGainScale(), offset),
                offset,
                model.config().finalGainScale());
    }

    private static OfLayer of(TunedLayer layer, QuantizationSpec spec, float offset) {
        Map<Linear, short[]> scales = new EnumMap<>(Linear.class);
        layer.scales().forEach((linear, parameter) -> {
            float[] values = parameter.values();
            short[] halves = new short[values.length];
            for (int i = 0; i < halves.length; i++) {
                halves[i] = Float.floatToFloat16(Math.clamp(values[i], Half.MIN_VALUE, Half.MAX));
            }
            scales.put(linear, halves);
        });
        Map<Linear, byte[]> codes = new EnumMap<>(Linear.class);
        layer.positions()
                .forEach((linear, positions) ->
                        codes.put(linear, CodePositions.round(positions.values(), spec.codesPerByte())));
        Map<LayerNorm, short[]> norms = new EnumMap<>(LayerNorm.class);
        layer.norms().forEach((place, gain) -> norms.put(place, norm(gain, offset)));
        return new OfLayer(
                scales,
                codes,
                norms,
                layer.headNorms().map(heads -> norm(heads.query(), offset)).orElse(new short[0]),
                layer.headNorms().map(heads -> norm(heads.key(), offset)).orElse(new short[0]));
    }

    /** Returns a layer of the checkpoint as fitted with these numbers. */
    QuantizedLayer layer(Checkpoint made, int index) {
        OfLayer numbers = layers.get(index);
        DecoderLayer fitted = DecoderLayer.read(made, index);
        Map<LayerLinear, QuantizedLinear> linears = new TreeMap<>();
        TunedLayer.codes(fitted).forEach((linear, codes) -> {
            short[] scales = numbers.scales.get(linear);
            if (scales == null) {
                throw new IllegalStateException("no tuned scales of " + linear.path());
            }
            byte[] moved = numbers.codes.get(linear);
            linears.put(LayerLinear.of(linear), (moved == null ? codes : codes.withCodes(moved)).withScales(scales));
        });
        Map<LayerLinear, short[]> biases = new TreeMap<>();
        fitted.extras().biases().forEach((linear, bias) -> biases.put(LayerLinear.of(linear), halves(bias, 0)));
        Map<LayerNorm, short[]> innerNorms = new EnumMap<>(LayerNorm.class);
        innerNorms.putAll(numbers.norms);
        short[] input = innerNorms.remove(LayerNorm.ATTENTION_IN);
        short[] mlp = innerNorms.remove(LayerNorm.MLP_IN);
        return new QuantizedLayer(
                index,
                input == null ? new short[0] : input,
                linears,
                mlp == null ? new short[0] : mlp,
                normOffset,
                biases,
                numbers.queryNorm,
                numbers.keyNorm,
                innerNorms,
                Map.of(),
                Optional.empty());
    }

    /** Returns the share of codes that differ from those of the checkpoint as fitted. */
    double movedShare(Checkpoint made) {
        long moved = 0;
        long all = 0;
        for (int index = 0; index < layers.size(); index++) {
            Map<Linear, byte[]> tuned = layers.get(index).codes;
            if (tuned.isEmpty()) {
                continue;
            }
            for (Map.Entry<Linear, QuantizedLinear> fitted :
                    TunedLayer.codes(DecoderLayer.read(made, index)).entrySet()) {
                byte[] before = fitted.getValue().codes();
                int perByte = fitted.getValue().codesPerByte();
                byte[] after = Objects.requireNonNull(tuned.get(fitted.getKey()));
                for (int i = 0; i < before.length; i++) {
                    int differ = before[i] ^ after[i];
                    moved += perByte == 1
                            ? (differ == 0 ? 0 : 1)
                            : ((differ & 15) == 0 ? 0 : 1) + ((differ & 240) == 0 ? 0 : 1);
                }
                all += (long) perByte * before.length;
            }
        }
        return all == 0 ? 0 : (double) moved / all;
    }

    /** Returns the gain of the final norm as a reader of the checkpoint gets it. */
    float[] finalGain() {
        float[] floats = new float[finalNorm.length];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = (Float.float16ToFloat(finalNorm[i]) + normOffset) * finalScale;
        }
        return floats;
    }

    private static short[] finalNorm(Parameter gain, float scale, float offset) {
        float[] values = gain.values().clone();
        for (int i = 0; i < values.length; i++) {
            values[i] /= scale;
        }
        return halves(values, offset);
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
