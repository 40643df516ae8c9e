package nibble.calibrate.search;

import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.LayerVector;
import nibble.engine.quantize.Basis;
import nibble.pack.Half;
import org.jspecify.annotations.Nullable;

/**
 * A layer's weights under the scales of its pairs, one scale per producing channel: norm channels, v_proj rows or
 * up_proj rows. What stands before a linear takes the scale out by exactly as much as its columns take in.
 */
final class PairScales {
    private final LayerSource source;
    private final HeadTie tie;
    private final Map<ScalePair, float[]> scales = new TreeMap<>();

    /** All ones. */
    PairScales(LayerSource source, HeadTie tie) {
        this.source = source;
        this.tie = tie;
        for (ScalePair pair : ScalePair.of(source.names(), source.parallel())) {
            scales.put(pair, ones(channels(pair)));
        }
    }

    private int channels(ScalePair pair) {
        return switch (pair.kind()) {
            case ATTENTION_NORM, PARALLEL_NORM, QUERY_NORM, KEY_VALUE_NORM, MLP_NORM ->
                source.gain(pair.norm().orElseThrow()).length;
            case VALUE_OUTPUT -> tie.channels();
            case UP_DOWN ->
                source.linear(new LayerLinear(Linear.UP, pair.expert())).outFeatures();
        };
    }

    /** Whether there is something that a pair's scale can be divided out of: a norm, or rows with a linear effect. */
    boolean folds(ScalePair pair) {
        return channels(pair) > 0
                && (pair.kind() != ScalePair.Kind.UP_DOWN || source.activation().isLinearInUp());
    }

    private static float[] ones(int length) {
        float[] ones = new float[length];
        java.util.Arrays.fill(ones, 1f);
        return ones;
    }

    /** The scale that changes nothing; empty where there is no norm to take it. */
    float[] ones(ScalePair pair) {
        return ones(channels(pair));
    }

    void set(ScalePair pair, float[] perChannel) {
        scales.put(pair, perChannel);
    }

    void reset(ScalePair pair) {
        scales.put(pair, ones(channels(pair)));
    }

    /** The norm as the output holds it under the pair's scale. */
    FoldedNorm norm(ScalePair pair, float[] perChannel) {
        LayerNorm norm = pair.norm().orElseThrow(() -> new IllegalArgumentException(pair + " has no norm"));
        return FoldedNorm.of(source.gain(norm), perChannel, source.normOffset());
    }

    /** What chooses experts, as the output holds it. */
    Optional<RouterWeights> router() {
        return source.router().map(router -> router.scaled(of(ScalePair.MLP_NORM)));
    }

    /** A scale as the pair can take it: a power of two where a router reads the norm too. */
    float[] possible(ScalePair pair, float[] perChannel) {
        return pair.equals(ScalePair.MLP_NORM)
                ? source.router()
                        .map(router -> router.exact(perChannel, source.postAttentionNorm()))
                        .orElse(perChannel)
                : perChannel;
    }

    /** The norm in front of attention, or of the MLP, as the output holds it, fp16 bits. */
    short[] foldedNorm(LayerNorm norm) {
        return folded(norm).orElse(new short[0]);
    }

    private Optional<short[]> folded(LayerNorm norm) {
        return scales.keySet().stream()
                .filter(pair -> pair.norm().equals(Optional.of(norm)))
                .map(pair -> norm(pair, of(pair)).norm())
                .findFirst();
    }

    /** The other norms as the output holds them, fp16 bits: with a scale divided out where linears read them. */
    Map<LayerNorm, short[]> innerNorms() {
        Map<LayerNorm, short[]> norms = new EnumMap<>(LayerNorm.class);
        source.innerNorms()
                .forEach(
                        (norm, stored) -> norms.put(norm, folded(norm).orElseGet(() -> QuantizedLayer.halves(stored))));
        return norms;
    }

    /** The biases as the output holds them, fp16 bits: v_proj's and up_proj's divided by the scale of their rows. */
    Map<LayerLinear, short[]> foldedBiases() {
        Map<LayerLinear, short[]> folded = new TreeMap<>();
        source.biases().forEach((linear, bias) -> {
            float[] rows = switch (linear.linear()) {
                case V -> of(ScalePair.VALUE_OUTPUT);
                case UP -> of(ScalePair.upDown(linear.expert()));
                case Q, Q_A, Q_B, K, KV_A, KV_B, O, GATE, DOWN -> ones(bias.length);
            };
            short[] halves = new short[bias.length];
            for (int i = 0; i < halves.length; i++) {
                halves[i] = Float.floatToFloat16(bias[i] / rows[i]);
            }
            folded.put(linear, halves);
        });
        return folded;
    }

    /** The vectors as the output holds them: biases of norms divided by the scale of their channels. */
    Map<LayerVector, float[]> foldedVectors() {
        Map<LayerVector, float[]> folded = new EnumMap<>(LayerVector.class);
        source.vectors().forEach((kind, values) -> {
            float[] scale = scaleOf(kind).orElse(ones(values.length));
            float[] held = new float[values.length];
            for (int i = 0; i < held.length; i++) {
                held[i] = values[i] / scale[i];
                if (!source.single().contains(kind)) {
                    held[i] = Half.round(held[i]);
                }
            }
            folded.put(kind, held);
        });
        return folded;
    }

    /** What the channels of a norm are divided by, exactly as its gain is. */
    private Optional<float[]> scaleOf(LayerVector kind) {
        return switch (kind) {
            case ATTENTION_IN_BIAS ->
                Optional.of(norm(ScalePair.ATTENTION_NORM, of(ScalePair.ATTENTION_NORM))
                        .effective());
            case MLP_IN_BIAS ->
                Optional.of(norm(ScalePair.MLP_NORM, of(ScalePair.MLP_NORM)).effective());
            case SINKS, ROUTER_BIAS -> Optional.empty();
        };
    }

    /** Whether what a scale of the rows of v_proj, or of up_proj, or of a norm, makes of their bias fits fp16. */
    boolean biasFits(ScalePair pair, float[] perChannel) {
        float[] bias = switch (pair.kind()) {
            case VALUE_OUTPUT -> source.biases().get(LayerLinear.of(Linear.V));
            case UP_DOWN -> source.biases().get(new LayerLinear(Linear.UP, pair.expert()));
            case ATTENTION_NORM -> source.vectors().get(LayerVector.ATTENTION_IN_BIAS);
            case PARALLEL_NORM, QUERY_NORM, KEY_VALUE_NORM -> null;
            case MLP_NORM -> source.vectors().get(LayerVector.MLP_IN_BIAS);
        };
        if (bias != null) {
            for (int i = 0; i < bias.length; i++) {
                if (!Float.isFinite(Half.round(bias[i] / perChannel[i]))) {
                    return false;
                }
            }
        }
        return true;
    }

    private float[] of(ScalePair pair) {
        float[] found = scales.get(pair);
        if (found == null) {
            throw new IllegalStateException("no scale for " + pair);
        }
        return found;
    }

    /** Factors of the readers' columns when {@code perChannel} is the pair's scale; null where all are 1. */
    float @Nullable [] columns(ScalePair pair, float[] perChannel) {
        if (!folds(pair)) {
            return null;
        }
        float[] columns = switch (pair.kind()) {
            case ATTENTION_NORM, PARALLEL_NORM, QUERY_NORM, KEY_VALUE_NORM, MLP_NORM ->
                norm(pair, perChannel).effective();
            case VALUE_OUTPUT -> tie.repeat(perChannel);
            case UP_DOWN -> perChannel;
        };
        return unlessOnes(columns);
    }

    /** The columns of a linear's own pair and, for v_proj and up_proj, the rows of the pair it produces for. */
    Basis basis(LayerLinear linear) {
        ScalePair pair = ScalePair.reading(linear, source.parallel());
        float @Nullable [] columns = columns(pair, of(pair));
        return switch (linear.linear()) {
            case V, KV_B -> new Basis(unlessOnes(tie.rows(of(ScalePair.VALUE_OUTPUT))), columns);
            case UP -> new Basis(unlessOnes(of(ScalePair.upDown(linear.expert()))), columns);
            case Q, Q_A, Q_B, K, KV_A, O, GATE, DOWN -> Basis.ofColumns(columns);
        };
    }

    private static float @Nullable [] unlessOnes(float[] values) {
        for (float value : values) {
            if (value != 1f) {
                return values;
            }
        }
        return null;
    }
}
