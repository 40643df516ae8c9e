package nibble.convert.verify;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.StoredLinear;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.pack.PackedLinear;
import nibble.pack.WeightReader;
import nibble.pack.layout.PackedLinears;

/**
 * Compares one dequantized decoder layer with the model it was made from.
 *
 * <p>AWQ moves scales between neighbours, so weights cannot be compared one by one. What can: of q, k, v, gate and up,
 * each weight times the norm's gain of its input (the gain took the inverse scale), up to a factor a row (v and up also
 * take the scale of the linear behind them); of o and down, the weights of one input feature, up to a factor. So the
 * error of a linear is the mean over its rows, or columns, of sin² of the angle between the two vectors, weighted by
 * the original's square: about 0.01 for 4 bits, 1 for unrelated weights.
 *
 * @param layer the layer compared
 * @param linears its seven linears
 */
public record LayerComparison(int layer, List<LinearError> linears) {
    /** Between what 4 bits cost, even without any search at group size −1, and what an unrelated model shows. */
    private static final double MOST_ERROR = 0.15;

    /**
     * Holds the error of one linear.
     *
     * @param relativeError {@code ‖Ŵ − W‖² / ‖W‖²} with the best factor for every row or column
     */
    public record LinearError(String name, double relativeError) {}

    public LayerComparison {
        linears = List.copyOf(linears);
    }

    /**
     * Compares a layer.
     *
     * @throws BadCheckpointException if the source is of another shape
     */
    static LayerComparison of(Checkpoint quantized, Checkpoint source, int layer) {
        List<LinearError> linears = new ArrayList<>();
        for (StoredLinear stored : quantized.config().linears(layer)) {
            Linear linear = stored.linear();
            int rows = stored.outFeatures();
            int columns = stored.inFeatures();
            float[] found = weights(quantized, stored);
            float[] expected = original(quantized, source, stored, layer);
            boolean byColumn = linear == Linear.O || linear == Linear.DOWN;
            if (!byColumn) {
                quantized.config().norm(norm(quantized, linear.input()), layer).ifPresent(name -> {
                    multiplyColumns(found, gains(quantized, name));
                    multiplyColumns(expected, gains(source, name));
                });
            }
            linears.add(new LinearError(stored.label(), error(found, expected, rows, columns, byColumn)));
        }
        return new LayerComparison(layer, linears);
    }

    /** The norm in front of an input of linears that take up the scale of one. */
    private static LayerNorm norm(Checkpoint checkpoint, LinearInput input) {
        return switch (input) {
            case QKV -> LayerNorm.ATTENTION_IN;
            case QUERY_LATENT -> LayerNorm.QUERY_LATENT;
            case KEY_VALUE_LATENT -> LayerNorm.KEY_VALUE_LATENT;
            case GATE_UP -> checkpoint.config().architecture().isParallel() ? LayerNorm.ATTENTION_IN : LayerNorm.MLP_IN;
            case O, DOWN -> throw new IllegalArgumentException("no norm in front of " + input);
        };
    }

    /** The numbers that loaders compute with. */
    private static float[] weights(Checkpoint checkpoint, StoredLinear stored) {
        if (checkpoint.config().quantization().isEmpty()) {
            return WeightReader.floats(
                    stored.rows(checkpoint.tensor(stored.weight())), checkpoint.fileOf(stored.weight()));
        }
        PackedLinear codes = PackedLinears.read(checkpoint, stored);
        float[] weights = new float[codes.outFeatures() * codes.inFeatures()];
        for (int row = 0; row < codes.outFeatures(); row++) {
            codes.dequantize(row, weights, row * codes.inFeatures());
        }
        return weights;
    }

    private static float[] original(Checkpoint quantized, Checkpoint source, StoredLinear found, int layer) {
        Linear linear = found.linear();
        if (source.config().quantization().isPresent()) {
            throw new BadCheckpointException(
                    source.folder(), "is quantized itself; give the fp16 model it was made from");
        }
        // GGUF has one name for Llama and Mistral.
        if (!source.config()
                .architecture()
                .ggufName()
                .equals(quantized.config().architecture().ggufName())) {
            throw new BadCheckpointException(
                    source.folder(),
                    "is a " + source.config().architecture().className() + ", the quantized model a "
                            + quantized.config().architecture().className() + "; give the model it was made from");
        }
        Expert expert = found.module().expert();
        boolean there = layer < source.config().layers()
                && source.config()
                        .experts(layer)
                        .map(Experts::all)
                        .orElse(List.of(Expert.NONE))
                        .contains(expert);
        if (!there && !(layer < source.config().layers() && !found.module().isMlp())
                || source.config().outFeatures(linear, expert) != found.outFeatures()
                || source.config().stored(linear, expert, layer).inFeatures() != found.inFeatures()) {
            throw new BadCheckpointException(
                    source.folder(),
                    "has other shapes than the quantized model: " + found.label() + " is [" + found.outFeatures() + ", "
                            + found.inFeatures() + "] there; give the model it was made from");
        }
        StoredLinear stored = source.config().stored(linear, expert, layer);
        return WeightReader.floats(stored.rows(source.tensor(stored.weight())), source.fileOf(stored.weight()));
    }

    private static float[] gains(Checkpoint checkpoint, String norm) {
        float[] gains = WeightReader.floats(checkpoint.tensor(norm), checkpoint.fileOf(norm));
        for (int i = 0; i < gains.length; i++) {
            gains[i] += checkpoint.config().architecture().normOffset();
        }
        return gains;
    }

    private static void multiplyColumns(float[] weights, float[] gains) {
        for (int i = 0; i < weights.length; i++) {
            weights[i] *= gains[i % gains.length];
        }
    }

    private static double error(float[] found, float[] expected, int rows, int columns, boolean byColumn) {
        int vectors = byColumn ? columns : rows;
        double[] dot = new double[vectors];
        double[] left = new double[vectors];
        double[] right = new double[vectors];
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < columns; column++) {
                int v = byColumn ? column : row;
                double a = found[row * columns + column];
                double b = expected[row * columns + column];
                dot[v] += a * b;
                left[v] += a * a;
                right[v] += b * b;
            }
        }
        double off = 0;
        double all = 0;
        for (int v = 0; v < vectors; v++) {
            // A factor below zero would be another model's too.
            double cosine = left[v] > 0 && right[v] > 0 ? Math.max(0, dot[v] / Math.sqrt(left[v] * right[v])) : 0;
            off += right[v] * (1 - cosine * cosine);
            all += right[v];
        }
        return all == 0 ? 0 : off / all;
    }

    void check(Consumer<Finding> findings) {
        for (LinearError linear : linears) {
            if (linear.relativeError() > MOST_ERROR) {
                findings.accept(Finding.error(
                        "source",
                        String.format(
                                Locale.ROOT,
                                "%s: dequantized weights differ from the source's by %.1f %% of their square, 4 bits"
                                        + " cost about 1 %%, more bits less; the source is another model, or codes are"
                                        + " packed in another order",
                                linear.name(),
                                100 * linear.relativeError())));
            }
        }
    }
}
